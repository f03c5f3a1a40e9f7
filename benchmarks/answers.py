"""Uploads that are answered: a team's of 1,185 rows, 10,000 symbols of 60 sessions, and one of a gigabyte.

team_seconds    1,185 rows, three symbols: from the path to the placed answer and the committed trail (median of the
                runs; a process that has answered one before, as the libraries' import and the first look at the
                registry take seconds)
wide_seconds    10,000 symbols of 60 sessions, likewise; wide_cpu_seconds is what the processors worked for it, and
                wide_onnx_seconds what ONNX Runtime alone takes for the same windows, ready in memory, in the same
                process: on a machine that others use, those two say more
peak_rss_gib    of a fresh process that answers a CSV of a gigabyte (with --gigabyte alone)
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.prepare import LAST_SESSION, prepare_home
from benchmarks.report import Goal, report
from include.answers.answer import predict_upload
from include.answers.batches import BATCH_WINDOWS
from include.answers.record import AnswerReport
from include.console import show_steps
from include.registry.resolve import resolve_version
from include.scoring.graph import load_graph, run_graph
from include.settings import Settings

GOALS = {"team_seconds": Goal(at_most=1.0), "wide_seconds": Goal(at_most=3.0)}
MEMORY_GOAL = Goal(at_most=1.5)
TEAM, WIDE = (3, 395), (10_000, 60)
GIGABYTE = 10**9


def write_upload(path: Path, symbols: int, sessions: int) -> Path:
    """Write a random walk by symbol, in the columns of the team's file."""
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (symbols, sessions)), axis=1))
    opened = close * np.exp(rng.normal(0, 0.003, close.shape))
    high, low = np.maximum(close, opened) * 1.01, np.minimum(close, opened) * 0.99
    days = [LAST_SESSION - timedelta(days=back) for back in range(sessions - 1, -1, -1)]
    names = pa.array([f"S{code:05d}" for code in range(symbols)]).take(np.repeat(np.arange(symbols), sessions))
    numbers = {"open": opened, "high": high, "low": low, "close": close, "volume": close * 1e3, "market": close * 1e6}
    columns = {name: pa.array(values.round(6).ravel()) for name, values in numbers.items()}
    dates = pa.array(days).take(pa.array(np.tile(np.arange(sessions), symbols)))
    pacsv.write_csv(pa.table({"slug": names, "symbol": names, "date": dates, **columns}), path)
    return path


def measure(settings: Settings, upload: Path, runs: int) -> tuple[float, float, AnswerReport]:
    """Answer an upload several times, each time anew; give the medians of seconds and processor seconds."""
    walls, works = [], []
    for _ in range(runs + 1):  # the first loads the libraries
        shutil.rmtree(settings.answers, ignore_errors=True)
        wall, work = time.perf_counter(), time.process_time()
        found = predict_upload(settings, upload)
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
    return statistics.median(walls[1:]), statistics.median(works[1:]), found


def measure_graph(settings: Settings, windows: int) -> float:
    """Return the seconds of ONNX Runtime alone for so many windows."""
    model = resolve_version(settings)
    assert model.onnx is not None
    graph = load_graph(model.onnx, threads=settings.threads)
    batch = np.exp(np.random.default_rng(7).normal(0, 0.02, (BATCH_WINDOWS, model.lookback, 6))).astype(np.float32)
    run_graph(graph, batch)
    started = time.perf_counter()
    for _ in range(windows // BATCH_WINDOWS):
        run_graph(graph, batch)
    return time.perf_counter() - started


def answer_alone(home: Path, upload: Path) -> dict[str, float]:
    """Answer in this process, which does nothing else; give rows, seconds and the peak of the resident set."""
    started = time.perf_counter()
    found = predict_upload(Settings(home=home, _env_file=None), upload)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return {"rows": found.rows, "gigabyte_seconds": time.perf_counter() - started, "peak_rss_gib": peak}


def measure_gigabyte(home: Path) -> dict[str, float]:
    """Write a gigabyte and answer it in a fresh process."""
    symbols = 10_000
    sample = write_upload(home / "sample.csv", symbols, 10)
    sessions = round(10 * GIGABYTE / sample.stat().st_size)
    upload = write_upload(home / "gigabyte.csv", symbols, sessions)
    command = [sys.executable, "-m", "benchmarks.answers", "--alone", str(home), str(upload)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return {**found, "gigabyte_mb": upload.stat().st_size / 1e6}


def main() -> int:
    """Prepare a home with a model in Production, answer, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.answers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bigru")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--gigabyte", action="store_true")
    parser.add_argument("--alone", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        sys.stdout.write(json.dumps(answer_alone(*given.alone)) + "\n")
        return 0
    with tempfile.TemporaryDirectory() as folder, show_steps() as open_step:
        home = Path(folder)
        settings = prepare_home(home, open_step, symbols=1500, sessions=120, live=1, model=given.model).settings
        line = open_step("Answer")
        team, _, _ = measure(settings, write_upload(home / "team.csv", *TEAM), given.runs)
        wide, work, found = measure(settings, write_upload(home / "wide.csv", *WIDE), given.runs)
        alone = measure_graph(settings, found.statuses["scored"])
        line.finish(f"{given.runs} runs")
        large = measure_gigabyte(home) if given.gigabyte else {}
    measured = {
        "team_seconds": team,
        "wide_seconds": wide,
        "wide_cpu_seconds": work,
        "wide_onnx_seconds": alone,
        "wide_over_onnx": wide / alone,
        **{f"wide_{name}_part_seconds": seconds for name, seconds in found.seconds.items()},
        "wide_rows": found.rows,
        **large,
    }
    goals = GOALS | ({"peak_rss_gib": MEMORY_GOAL} if large else {})
    return 0 if report("answers", measured, goals) else 1


if __name__ == "__main__":
    sys.exit(main())
