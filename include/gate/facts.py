"""What the gate's guards ask of a graph besides its errors: how long a scoring takes, its size, whether it repeats."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from include.backtest.heldout import HeldOut
from include.backtest.windows import build_windows
from include.gate.guards import ModelFacts
from include.lake.bars import BarCube
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import read_market_columns
from models.market import join_market

SCORED_WINDOWS = 10_000
"""Windows of one scoring, whatever the snapshot holds: what a full universe has."""

_RUNS = 3


def measure_facts(graph: Path, cube: BarCube, held: HeldOut, *, lookback: int, threads: int) -> ModelFacts:
    """Score the newest windows a few times, each in a session of its own, as production does.

    Parameters
    ----------
    graph
        The ONNX file.
    cube, held
        The newest origin's windows are taken, repeated up to `SCORED_WINDOWS`.
    lookback
        Sessions in a window.
    threads
        Of ONNX Runtime.

    Returns
    -------
    ModelFacts
        The shortest time, loading included; the size; the largest difference between two runs, infinite where one gives
        no number and another does. No coverage, which is of the forecasts of many sessions.
    """
    windows = _choose_windows(cube, held, lookback, read_market_columns(load_graph(graph, threads=threads)))
    seconds, made = [], []
    for _ in range(_RUNS):
        started = time.perf_counter()
        made.append(run_graph(load_graph(graph, threads=threads), windows))
        seconds.append(time.perf_counter() - started)
    difference = max(_measure_difference(made[0], again) for again in made[1:])
    return ModelFacts(latency_s=min(seconds), size_bytes=graph.stat().st_size, rerun_difference=difference)


def _choose_windows(cube: BarCube, held: HeldOut, lookback: int, market: tuple[str, ...]) -> npt.NDArray[np.float32]:
    origin = held.origins[-1]
    first = max(origin + 1 - lookback, 0)
    values = join_market(cube.values[first : origin + 1], market)
    newest = build_windows(
        values, lookback=lookback, origins=[origin - first], min_observed=1, with_targets=False
    ).windows
    count = max(SCORED_WINDOWS, len(newest))
    return np.ascontiguousarray(newest[np.arange(count) % len(newest)])


def _measure_difference(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    silent = np.isnan(one)
    if (silent != np.isnan(other)).any():
        return float("inf")
    return float(np.abs(one - other, where=~silent, out=np.zeros_like(one)).max(initial=0.0))
