"""Scoring in process: 10,000 symbols from the lake to committed rows.

seconds       read the newest windows, run the model, write the rows (median of the runs; the slowest is given too)
onnx_seconds  ONNX Runtime alone on ready tensors, in the same run
Imports and the look-up in the registry are apart, and stated.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.prepare import prepare_home
from benchmarks.report import Goal, report
from include.console import show_steps
from include.lake.bars import newest_session, open_bars, read_cube, sessions_up_to
from include.registry.resolve import resolve_version
from include.scoring.graph import load_graph, run_graph
from include.scoring.score import score_session
from include.settings import Settings

GOALS = {"seconds": Goal(at_most=1.0)}


def measure_imports() -> float:
    """Return the seconds that a fresh process takes to import what scoring needs."""
    code = "from time import perf_counter as t; s = t(); import include.scoring.score, onnxruntime; print(t() - s)"
    command = [sys.executable, "-c", code]
    return min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3))


def measure_graph(settings: Settings, runs: int) -> float:
    """Return the seconds of ONNX Runtime alone, graph loaded and tensors ready."""
    model = resolve_version(settings)
    assert model.onnx is not None
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, newest_session(settings.lake), count=model.lookback)
    windows = read_cube(bars, sessions).values.swapaxes(0, 1).copy()
    graph = load_graph(model.onnx, threads=settings.threads)
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        run_graph(graph, windows)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    """Prepare a home, score its newest session several times, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=120)
    parser.add_argument("--model", default="bigru")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, show_steps() as open_step:
        size = {"symbols": given.symbols, "sessions": given.sessions}
        prepared = prepare_home(Path(home), open_step, live=1, model=given.model, **size)
        line = open_step("Score")
        as_of = newest_session(prepared.settings.lake)
        laps = [score_session(prepared.settings, as_of, run_id="benchmark").seconds for _ in range(given.runs)]
        alone = measure_graph(prepared.settings, given.runs)
        line.finish(f"{given.runs} runs")
    parts = {name: statistics.median(lap[name] for lap in laps[1:] or laps) for name in ("read", "onnx", "write")}
    totals = [sum(value for name, value in lap.items() if name != "resolve") for lap in laps]
    measured = {
        "seconds": statistics.median(totals),
        "slowest_seconds": max(totals),
        "onnx_seconds": alone,
        **{f"{name}_part_seconds": value for name, value in parts.items()},
        "import_seconds": measure_imports(),
        "registry_seconds": statistics.median(lap["resolve"] for lap in laps),
        "symbols": given.symbols,
    }
    return 0 if report("score", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
