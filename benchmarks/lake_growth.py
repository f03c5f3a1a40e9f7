"""Does the lake stay as quick after ten years as after one? 10,000 symbols, a commit a session, by our own writer.

ingest_growth  seconds to ingest one session's CSV, of the long lake over the short one
read_growth    as-of read of 60 sessions: version from the catalog, table opened, window columns
window_growth  the same sessions as dense windows with their mask
The two lakes are measured in turn, in one run; of each the best of the repeats. The history is written file by file
and commit by commit, without the upload's parse and checks, and is not timed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.prepare import LAST_SESSION
from benchmarks.report import Goal, report
from include.console import Step, show_steps
from include.ingest.ingest import ingest_upload
from include.lake.asof import bars_as_of
from include.lake.bars import open_bars, read_windows
from include.lake.catalog import append_operation
from include.lake.compact import compact_small
from include.lake.data_files import commit_files, write_file
from include.lake.tables import BARS, UPLOADS
from include.schema import WINDOW_COLUMNS
from include.settings import Settings

GOALS = {
    "ingest_growth": Goal(at_most=1.3),
    "read_growth": Goal(at_most=1.2),
    "window_growth": Goal(at_most=1.2),
    "read_seconds": Goal(at_most=0.25),
}
WINDOW = 60


def make_session(session: date, symbols: int) -> pa.Table:
    """Make bars of one session around a level that each symbol keeps."""
    level = np.exp(np.random.default_rng(0).normal(2.0, 2.0, symbols))
    rng = np.random.default_rng(session.toordinal())
    opened, close = (level * np.exp(rng.normal(0, 0.02, symbols)) for _ in range(2))
    wide = np.exp(np.abs(rng.normal(0, 0.01, (2, symbols))))
    prices = [opened, np.maximum(opened, close) * wide[0], np.minimum(opened, close) / wide[1], close]
    names = ("symbol", "session", *WINDOW_COLUMNS)
    symbol = pa.array([f"sim{number:07d}" for number in range(symbols)])
    day = pa.repeat(pa.scalar(session, pa.date32()), symbols)
    volume = level * np.exp(rng.normal(5, 1, symbols))
    return pa.table([symbol, day, *prices, volume, volume * 100], names=names)


def write_session(lake: Path, sequence: int, session: date, symbols: int) -> None:
    """Commit one session as an upload would: a file, a version of bars, a row of the catalog."""
    moment = datetime.now(UTC)
    rows = make_session(session, symbols)
    sha256 = f"{sequence:064x}"
    for name, value in (("upload_sha256", sha256), ("ingested_at", moment)):
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, BARS.schema.field(name).type), symbols))
    version = commit_files(lake, BARS, [write_file(lake, BARS, session, rows.select(BARS.schema.names))])
    counts = dict.fromkeys((field.name for field in UPLOADS.schema if field.type == pa.int64()), 0)
    texts = {"sha256": sha256, "kind": "upload", "name": f"{session}.csv", "status": "complete", "who": "benchmark"}
    moments = {"started_at": moment, "finished_at": moment, "first_session": session, "last_session": session}
    versions = {"bars_version": version, "quarantine_version": None, "restatements_version": None}
    rows_in = {"sequence": sequence, "rows": symbols, "accepted": symbols, "added": symbols, "sessions": 1}
    append_operation(lake, counts | texts | moments | rows_in | versions)
    if sequence % 10 == 0:  # it would find nothing to do the other times
        compact_small(lake, UPLOADS)


def build_lakes(folder: Path, short: int, long: int, symbols: int, line: Step) -> tuple[Settings, Settings]:
    """Write a lake of `long` sessions; what it was after its first `short` ones is the other."""
    first = LAST_SESSION - timedelta(days=long + 60)
    homes = [Settings(home=folder / name, threads=2, _env_file=None) for name in ("short", "long")]
    for number in range(long):
        write_session(homes[1].lake, number + 1, first + timedelta(days=number), symbols)
        if number + 1 == short:
            shutil.copytree(homes[1].home, homes[0].home)
        line.update(number + 1, long, f"{number + 1:,} sessions")
    return homes[0], homes[1]


def newest(settings: Settings) -> date:
    """Return the newest session of a lake, by the listing of its folders (nothing of Delta is warmed by it)."""
    return max(date.fromisoformat(path.name.removeprefix("session=")) for path in (settings.lake / "bars").glob("s*"))


def time_ingest(settings: Settings, symbols: int) -> float:
    """Ingest the session after the newest."""
    session = newest(settings) + timedelta(days=1)
    path = settings.home / f"{session}.csv"
    pacsv.write_csv(make_session(session, symbols), path)
    started = time.perf_counter()
    done = ingest_upload(settings, path)
    taken = time.perf_counter() - started
    assert done.accepted == symbols, done.summary()
    return taken


def time_read(settings: Settings, symbols: int) -> float:
    """Read the newest sessions as they are known now."""
    last = newest(settings)
    sessions = [last - timedelta(days=back) for back in range(WINDOW)]
    started = time.perf_counter()
    rows = bars_as_of(settings.lake, sessions=sessions, columns=["session", "symbol", *WINDOW_COLUMNS])
    taken = time.perf_counter() - started
    assert rows.num_rows == WINDOW * symbols
    return taken


def time_windows(settings: Settings, symbols: int) -> float:
    """Read the newest sessions as dense windows."""
    last = newest(settings)
    started = time.perf_counter()
    windows = read_windows(open_bars(settings.lake), last, lookback=WINDOW)
    taken = time.perf_counter() - started
    assert windows.mask.sum() == WINDOW * symbols
    return taken


Measure = Callable[[Settings, int], float]


def compare(measure: Measure, lakes: tuple[Settings, Settings], symbols: int, repeats: int) -> tuple[float, float]:
    """Measure both lakes in turn and return the best of each; the first round warms imports and is not counted."""
    rounds = [[measure(lake, symbols) for lake in lakes] for _ in range(repeats + 1)][1:]
    return min(taken[0] for taken in rounds), min(taken[1] for taken in rounds)


def main() -> int:
    """Build both lakes, measure them in turn, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lake_growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--short", type=int, default=365, help="Sessions of the short lake, at least 60.")
    parser.add_argument("--long", type=int, default=3650, help="Sessions of the long lake.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="Where to write the lakes; some 3 GB at the default size.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, show_steps() as open_step:
        line = open_step("Write the history")
        started = time.perf_counter()
        lakes = build_lakes(Path(folder), given.short, given.long, given.symbols, line)
        line.finish(f"{given.long:,} sessions, {time.perf_counter() - started:.0f} s")
        measured: dict[str, float] = {}
        for name, measure in (("read", time_read), ("window", time_windows), ("ingest", time_ingest)):
            line = open_step(f"Measure {name}")
            short, long = compare(measure, lakes, given.symbols, given.repeats)
            measured |= {f"{name}_growth": long / short, f"{name}_seconds": long, f"{name}_short_seconds": short}
            line.finish(f"{short:.3f} s, then {long:.3f} s")
    measured |= {"symbols": given.symbols, "short_sessions": given.short, "long_sessions": given.long}
    return 0 if report("lake_growth", measured, GOALS, note=f"best of {given.repeats}, the lakes in turn") else 1


if __name__ == "__main__":
    sys.exit(main())
