"""Ingest of 10,000 symbols: a history in one CSV, and sessions one by one.

speed_ratio        rows a second of the whole ingest, from the inbox to committed and kept, over those of pyarrow, which
                   reads the same CSV and writes the same Parquet partitions without a check, a hash or a commit; both
                   in fresh processes with their libraries imported, in turns, the best of each (machines are noisy)
session_seconds    a session's CSV to committed bars (ingest_seconds) and its validation by Great Expectations
                   (validate_seconds); median, in one process as the tasks' own
gx_import_seconds  apart from these: the import of Great Expectations
peak_rss_gib       of the process that ingests the history
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds

from benchmarks.prepare import LAST_SESSION
from benchmarks.report import Goal, report
from include.console import show_steps
from include.ingest.ingest import ingest_upload
from include.market.exchange import simulate_exchange, write_exchange
from include.settings import Settings

GOALS = {"speed_ratio": Goal(at_least=0.7), "session_seconds": Goal(at_most=0.4), "peak_rss_gib": Goal(at_most=1.5)}
LIVE = 8


def ingest_history(path: Path, home: Path) -> dict[str, float]:
    """Ingest a file that lies in a new home's inbox; return rows, seconds and the peak of the resident set."""
    import exchange_calendars  # noqa: F401  as the server of a task's children has it

    settings = Settings(home=home, _env_file=None)
    settings.inbox.mkdir(parents=True)
    arrived = settings.inbox / path.name
    shutil.copyfile(path, arrived)
    started = time.perf_counter()
    found = ingest_upload(settings, arrived)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return {"rows": found.rows, "seconds": seconds, "peak_rss_gib": peak}


def write_partitions(path: Path, folder: Path) -> dict[str, float]:
    """Do with pyarrow alone what remains of an ingest when nothing is checked: CSV in, a file a session out."""
    started = time.perf_counter()
    rows = pyarrow.csv.read_csv(path)
    hive = ds.partitioning(pa.schema([("date", rows.schema.field("date").type)]), flavor="hive")
    ds.write_dataset(rows, folder, format="parquet", partitioning=hive, max_partitions=rows.num_rows)
    return {"rows": rows.num_rows, "seconds": time.perf_counter() - started}


def run_alone(what: str, path: Path, folder: Path) -> dict[str, float]:
    """Run one of the two in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--alone", what, str(path), str(folder)]
    answer: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def measure_sessions(settings: Settings, uploads: list[Path]) -> dict[str, float]:
    """Ingest and validate one session after the other; the first is not counted: it loads the libraries."""
    started = time.perf_counter()
    import great_expectations  # noqa: F401

    imported = time.perf_counter() - started
    from include.quality.session import validate_session

    ingested, validated = [], []
    for path in uploads:
        started = time.perf_counter()
        found = ingest_upload(settings, path)
        assert found.first_session is not None
        middle = time.perf_counter()
        validate_session(settings, found.first_session)
        ingested.append(middle - started)
        validated.append(time.perf_counter() - middle)
    both = [a + b for a, b in zip(ingested, validated, strict=True)][1:]
    return {
        "session_seconds": statistics.median(both),
        "session_slowest": max(both),
        "ingest_seconds": statistics.median(ingested[1:]),
        "validate_seconds": statistics.median(validated[1:]),
        "gx_import_seconds": imported,
    }


def main() -> int:
    """Simulate, ingest the history beside pyarrow in turns, then the sessions; report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", nargs=3, metavar=("WHAT", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        what, path, folder = asked.alone
        run = {"ours": ingest_history, "pyarrow": write_partitions}[what]
        sys.stdout.write(json.dumps(run(Path(path), Path(folder))))
        return 0
    with tempfile.TemporaryDirectory(prefix="closecast-bench-") as folder, show_steps() as step:
        home = Path(folder)
        line = step("Simulate")
        wanted = {"symbols": asked.symbols, "sessions": asked.sessions + LIVE, "last_session": LAST_SESSION}
        exchange = simulate_exchange(**wanted, calendar="24/7", seed=7)
        packed, *uploads = write_exchange(exchange, home / "exchange", live_sessions=LIVE, history_format="csv.gz")
        history = home / "history.csv"
        with gzip.open(packed) as coming, history.open("wb") as plain:
            shutil.copyfileobj(coming, plain, 1 << 20)
        line.finish(f"{history.name}, {history.stat().st_size / 1e6:,.0f} MB")
        line = step("Ingest the history")
        ours, theirs = [], []
        for run in range(asked.runs):
            ours.append(run_alone("ours", history, home / f"ours-{run}"))
            theirs.append(run_alone("pyarrow", history, home / f"pyarrow-{run}"))
            line.update(run + 1, asked.runs)
        line.finish(f"{ours[0]['rows']:,.0f} rows")
        line = step("Ingest sessions")
        sessions = measure_sessions(Settings(home=home / "ours-0", _env_file=None), uploads)
        line.finish(f"{LIVE} sessions")
    best = {name: min(each["seconds"] for each in found) for name, found in (("ours", ours), ("pyarrow", theirs))}
    measured = {
        "speed_ratio": best["pyarrow"] / best["ours"],
        "history_seconds": best["ours"],
        "pyarrow_seconds": best["pyarrow"],
        "peak_rss_gib": max(each["peak_rss_gib"] for each in ours),
        **sessions,
    }
    note = f"{asked.symbols:,} symbols, {asked.sessions} sessions in one CSV, best of {asked.runs} runs in turns"
    return 0 if report("ingest", measured, GOALS, note=note) else 1


if __name__ == "__main__":
    sys.exit(main())
