"""Scoring in process, from the lake to committed rows, beside what else could be run in its place.

seconds           read the bars, run the model, write and commit the rows (median of the runs; the slowest is given)
onnx_seconds      ONNX Runtime alone on ready tensors, in the same run
notebook_ratio    a pandas loop over symbols, the network asked once for all of them, over ours (notebook_each_ratio:
                  the network asked once a symbol); 200 symbols are looped over and scaled up
mlforecast_ratio  mlforecast's read, update, predict with intervals, and write over ours, both fitted before, both from
                  the lake's files to a Parquet file in place; a linear regression on log differences, which reads
                  the 45 sessions that it looks back on, open and close alone (ours: 60, and what it does besides);
                  mlforecast_newest_ratio: the newest session's file alone, into its own state of the others in memory;
                  mlforecast_task_ratio: this state loaded before and saved after. Left out, and said so, where its
                  environment cannot be made
symbols_growth    with --symbols above 10,000: the time of so many over that of 10,000, both in lakes of 60 sessions,
                  the two in turn in a process of their own; peak_rss_gib is that process's
years_growth      with --years above 1: the time in a lake of so many years over that in one of a year, the two in turn
Imports and the look-up in the registry are apart, and stated. Lakes are written without ingest, a commit a session.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.prepare import prepare_home
from benchmarks.report import Goal, report
from benchmarks.resident import peak_rss_gib
from benchmarks.score_homes import copy_home
from benchmarks.score_mlforecast import cache_folder, measure_mlforecast, prepare_environment
from include.console import show_steps
from include.lake.bars import newest_session, open_bars, read_cube, sessions_up_to
from include.registry.resolve import resolve_version
from include.scoring.graph import load_graph, run_graph
from include.scoring.score import score_session
from include.settings import Settings
from include.steps import OpenStep

GOALS = {
    "seconds": Goal(at_most=1.0),
    "notebook_ratio": Goal(at_least=300),
    "mlforecast_ratio": Goal(at_least=1),
    "symbols_growth": Goal(at_most=110),
    "years_growth": Goal(at_most=1.1),
    "peak_rss_gib": Goal(at_most=8),
}
SYMBOLS, YEAR, SHORT = 10_000, 365, 60


def score_once(settings: Settings) -> dict[str, float]:
    """Score the newest session and return its laps."""
    return score_session(settings, newest_session(settings.lake), run_id="benchmark").seconds


def sum_laps(laps: dict[str, float]) -> float:
    """Return what a run took without the look-up in the registry."""
    return sum(value for name, value in laps.items() if name != "resolve")


def measure_own(settings: Settings, runs: int) -> dict[str, float]:
    """Score several times and return medians; the first run warms the process and is not counted."""
    laps = [score_once(settings) for _ in range(runs + 1)][1:]
    totals = [sum_laps(lap) for lap in laps]
    parts = {f"{name}_part_seconds": statistics.median(lap[name] for lap in laps) for name in laps[0]}
    registry = parts.pop("resolve_part_seconds")
    return {
        "seconds": statistics.median(totals),
        "slowest_seconds": max(totals),
        **parts,
        "registry_seconds": registry,
    }


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


def time_in_turn(homes: list[Path], runs: int) -> None:
    """Score two homes in turn and print the best of each, the first round left out, and the peak of memory."""
    settings = [Settings(home=home, _env_file=None) for home in homes]
    rounds = [[sum_laps(score_once(each)) for each in settings] for _ in range(runs + 1)][1:]
    best = [min(taken) for taken in zip(*rounds, strict=True)]
    sys.stdout.write(json.dumps({"best": best, "rss_gib": peak_rss_gib()}) + "\n")


def compare_homes(small: Path, large: Path, runs: int) -> tuple[float, float, float]:
    """Return the seconds of both homes and the peak in GiB, by a process of their own."""
    command = [sys.executable, "-m", "benchmarks.score", "--in-turn", str(small), str(large), "--runs", str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    return (*found["best"], found["rss_gib"])


@dataclass
class Bench:
    """What is measured, where, and how often; `notes` says what was left out."""

    folder: Path
    prepared: Settings
    open_step: OpenStep
    runs: int
    measured: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def write_home(self, name: str, symbols: int, sessions: int) -> Settings:
        """Write a home to score in."""
        return copy_home(self.prepared, self.folder / name, self.open_step, symbols=symbols, sessions=sessions)

    def measure_beside(self, settings: Settings, sample: int) -> None:
        """Measure our own score, and the others, from one lake of `SYMBOLS`."""
        line = self.open_step("Score")
        self.measured |= measure_own(settings, self.runs)
        self.measured |= {"onnx_seconds": measure_graph(settings, self.runs), "import_seconds": measure_imports()}
        line.finish(f"{self.runs} runs")
        line = self.open_step("mlforecast")
        python = prepare_environment(cache_folder())
        if python is None:
            self.notes.append("mlforecast was left out: no package index gave its environment")
        else:
            self.measured |= measure_mlforecast(python, settings, symbols=SYMBOLS, runs=self.runs)
        line.finish(f"{self.runs} runs" if python else "left out")
        line = self.open_step(f"Notebook, {sample} symbols")
        from benchmarks.score_notebook import measure_notebook

        self.measured |= measure_notebook(settings, symbols=SYMBOLS, sample=sample)
        line.finish("scaled up")
        for name in ("notebook", "notebook_each", "mlforecast", "mlforecast_newest", "mlforecast_task"):
            if f"{name}_seconds" in self.measured:
                self.measured[f"{name}_ratio"] = self.measured[f"{name}_seconds"] / self.measured["seconds"]

    def measure_symbols(self, symbols: int) -> None:
        """Measure how the time grows with symbols."""
        small, large = (self.write_home(f"symbols-{count}", count, SHORT).home for count in (SYMBOLS, symbols))
        line = self.open_step(f"Score {symbols:,} symbols")
        short, long, rss = compare_homes(small, large, 2)
        self.measured |= {"symbols_seconds": long, "symbols_growth": long / short, "peak_rss_gib": rss}
        line.finish(f"{short:.2f} s, then {long:.1f} s")

    def measure_years(self, one: Settings, years: int) -> None:
        """Measure how the time grows with the years that the lake has lived."""
        many = self.write_home(f"years-{years}", SYMBOLS, YEAR * years)
        line = self.open_step(f"Score after {years} years")
        short, long, _ = compare_homes(one.home, many.home, 4 * self.runs)
        self.measured |= {"one_year_seconds": short, "years_seconds": long, "years_growth": long / short}
        line.finish(f"{short:.2f} s, then {long:.2f} s")


def main() -> int:
    """Prepare a model and the lakes, measure, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="1000000 writes 4 GB.")
    parser.add_argument("--years", type=int, default=1, help="10 writes 3 GB.")
    parser.add_argument("--model", default="bigru")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--sample", type=int, default=200, help="Symbols that the notebook loops over.")
    parser.add_argument("--folder", type=Path, help="Where to write the lakes.")
    parser.add_argument("--in-turn", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_turn:
        time_in_turn(given.in_turn, given.runs)
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as name, show_steps() as open_step:
        folder = Path(name)
        size = {"symbols": 200, "sessions": 120}
        prepared = prepare_home(folder / "prepared", open_step, live=1, model=given.model, **size)
        bench = Bench(folder, prepared.settings, open_step, given.runs)
        settings = bench.write_home("one-year", SYMBOLS, YEAR)
        bench.measure_beside(settings, given.sample)
        if given.symbols > SYMBOLS:
            bench.measure_symbols(given.symbols)
        if given.years > 1:
            bench.measure_years(settings, given.years)
    measured = bench.measured | {"symbols": given.symbols, "years": given.years, "load": os.getloadavg()[0]}
    goals = {name: goal for name, goal in GOALS.items() if name in measured}
    return 0 if report("score", measured, goals, note="; ".join(bench.notes)) else 1


if __name__ == "__main__":
    sys.exit(main())
