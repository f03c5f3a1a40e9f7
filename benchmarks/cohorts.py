"""What a walk-forward backtest costs besides fits and graphs: metrics of every model by cohort, evidence of one.

yardsticks_seconds  what all models share: scales, volatility, groups
metrics_seconds     every metric and interval of all models by target, cohort and span of sessions, two threads
evidence_seconds    metrics by cohort, pictures and residuals of one candidate, written (imports apart)
_cpu_seconds        of each, what the processors worked
peak_rss_gib        of the whole process
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Goal, report
from include.backtest.evidence import write_evidence
from include.backtest.heldout import hold_out
from include.backtest.measures import build_yardsticks, measure_models
from include.lake.bars import BarCube

GOALS = {"metrics_seconds": Goal(at_most=10), "evidence_seconds": Goal(at_most=3)}


def make_cube(symbols: int, sessions: int, seed: int = 0) -> BarCube:
    """Make bars whose closes walk with heavy tails, a hole in fifty."""
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    steps = rng.standard_t(4, shape) * np.geomspace(0.003, 0.05, symbols)
    close = np.exp(rng.normal(0, 3, symbols) + np.cumsum(steps, axis=0))
    opened = close * np.exp(rng.normal(0, 0.003, shape))
    values = np.stack([opened, close, close, close, close * 1e3, close * 1e6], axis=-1).astype(np.float32)
    values[rng.random(shape) < 0.02] = np.nan
    days = [date(2026, 1, 1) + timedelta(days=k) for k in range(sessions)]
    names = np.array([f"S{k:05}" for k in range(symbols)], dtype=object)
    return BarCube(values, days, names, close[-1], np.full(symbols, sessions - 1), 0)


def take_time(name: str, call: Callable[[], Any], measured: dict[str, float]) -> Any:
    """Call; keep the seconds that passed, and those that the processors worked, which a busy machine leaves as is."""
    started, worked = time.perf_counter(), time.process_time()
    given = call()
    measured |= {f"{name}_seconds": time.perf_counter() - started, f"{name}_cpu_seconds": time.process_time() - worked}
    return given


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cohorts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=60, help="that are forecast")
    parser.add_argument("--models", type=int, default=8)
    given = parser.parse_args()
    cube = make_cube(given.symbols, given.sessions + 90)
    held = hold_out(cube, 90)
    rng = np.random.default_rng(1)
    noise = [0.1 * k * held.actual + rng.normal(0, 0.001, held.actual.shape) for k in range(given.models)]
    forecasts = {f"model_{k}": each.astype(np.float32) for k, each in enumerate(noise)}
    curve = [{"loss": 0.5 / (k + 1), "val_loss": 0.6 / (k + 1)} for k in range(12)]
    measured: dict[str, float] = {}
    yardsticks = take_time("yardsticks", lambda: build_yardsticks(cube, held), measured)
    rows = take_time("metrics", lambda: measure_models(yardsticks, forecasts), measured)
    asked = {"cube": cube, "held": held, "forecasts": forecasts["model_1"], "learning_curve": curve}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):  # the first imports matplotlib
            take_time("evidence", lambda: write_evidence(Path(folder), model="ridge", **asked), measured)
    measured |= {"rows": len(rows), "cells": int(held.cells.sum()), "models": given.models}
    measured["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return 0 if report("cohorts", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
