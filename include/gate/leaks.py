"""Leak tests of every retrain: each fails it, by name, where a model may have known what was to come.

noise_after_cut    Noise over every session behind the cut leaves the windows that are fitted on, and the forecasts of
                   windows before the cut, as they were, bit by bit.
impossible_error   No model halves last close's error on the held-out sessions. What a column check cannot see, a
                   target spread over several columns for one, shows here.
moved_labels       With every target moved in time, those that are judged on too, a cheap model passes no gate.

Those of the columns, which come first, are in `include.gate.columns`. docs/models.md has the reasons for the limits,
and what was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.backtest.heldout import JUDGED_SESSIONS, Forecasts, HeldOut, combine_losses, forecast_held_out, hold_out
from include.backtest.windows import Windows, build_windows, sample_windows
from include.errors import LeakError
from include.gate.paired import FEWEST_SESSIONS
from include.gate.verdict import judge_challengers
from include.lake.bars import MOST_MISSING, BarCube
from include.schema import TARGETS
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import read_market_columns
from include.settings import Settings
from models.catalog import build_model
from models.market import join_market

LOWEST_ERROR = 0.5
"""Of last close's error: below it a model counts as knowing what was to come."""

_MOVED_WINDOWS, _MOVED_SESSIONS = 20_000, 200
_MOVED_MODEL, _MOVED = "ridge", "moved"


def spoil_future(cube: BarCube, cut: int, *, seed: int) -> BarCube:
    """Return a copy of a cube with noise in place of all bars from the cut on."""
    values = cube.values.copy()
    values[cut:] = np.random.default_rng(seed).lognormal(size=values[cut:].shape)
    return replace(cube, values=values)


def check_blind(windows: Windows, again: Windows) -> None:
    """Refuse windows to fit on that noise behind the cut has changed.

    Raises
    ------
    LeakError
        Windows, targets or whose they are differ.
    """
    parts = ("windows", "targets", "symbol_index", "origin_index")
    if not all(_are_equal(getattr(windows, part), getattr(again, part)) for part in parts):
        rule = "leak test noise_after_cut: noise behind the cut must leave the windows that are fitted on unchanged"
        raise LeakError(rule, value="windows that differ", place="bars")


def check_blind_graph(graph: Path, cube: BarCube, spoilt: BarCube, cut: int, *, lookback: int, place: str) -> None:
    """Refuse a graph whose forecasts of the newest windows before the cut are changed by noise behind it.

    Raises
    ------
    LeakError
        A forecast differs.
    """
    session = load_graph(graph, threads=1)
    observed = max(1, lookback - MOST_MISSING)
    first, market = max(cut - lookback, 0), read_market_columns(session)
    asked: dict[str, Any] = {"lookback": lookback, "origins": [cut - 1 - first], "min_observed": observed}
    values = [join_market(each.values[first:], market) for each in (cube, spoilt)]  # noise behind the cut among them
    windows = [build_windows(each, **asked, with_targets=False).windows for each in values]
    made = [run_graph(session, np.ascontiguousarray(each)) for each in windows]
    if not _are_equal(*made):
        rule = "leak test noise_after_cut: noise behind the cut must leave forecasts of windows before it unchanged"
        raise LeakError(rule, value="forecasts that differ", place=place)


def _are_equal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def check_plausible(metrics: Mapping[str, float], *, place: str) -> None:
    """Refuse a model that is better on held-out sessions than any honest one.

    Raises
    ------
    LeakError
        Its error for a target is below `LOWEST_ERROR` of last close's.
    """
    for target in TARGETS:
        if metrics[f"{target}_relative_error"] < LOWEST_ERROR:
            found = metrics[f"{target}_relative_error"]
            rule = f"leak test impossible_error: the {target} error must be at least {LOWEST_ERROR} of last close's"
            raise LeakError(rule, value=f"{found:.4f}", place=place)


def check_moved_labels(
    settings: Settings, cube: BarCube, cut: int, held: HeldOut, naives: Mapping[str, Forecasts]
) -> dict[str, float]:
    """Move every target in time, fit a cheap model, and have the gate judge it beside the naive models.

    Parameters
    ----------
    settings
        Seed and threads.
    cube, cut, held
        The snapshot's bars, and what is judged.
    naives
        Forecasts of the naive models, (n_sessions, n_symbols, 2) each.

    Returns
    -------
    dict
        The largest of its p-values; nothing where there are too few sessions to judge on.

    Raises
    ------
    LeakError
        The gate would promote it, however far the targets that it is judged on were moved.

    Notes
    -----
    They are moved in a circle, all symbols of a session together. Shuffled by symbol, they were found in windows of
    other sessions that hold the same return, and 11 of 50 honest pipelines failed.
    """
    if len(held.sessions) < FEWEST_SESSIONS:
        return {}
    made = dict(naives) | {_MOVED: _forecast_moved(settings, cube, cut, held)}
    p_values = []
    for distance in _choose_distances(len(held.sessions)):
        moved = move_targets(held, distance)
        losses = {name: combine_losses(moved, forecasts) for name, forecasts in made.items()}
        verdict = judge_challengers(losses, None, list(naives), seed=settings.seed)
        if not verdict.promoted:
            p_values.append(max((one.p_value for one in verdict.challengers[0].comparisons), default=1.0))
    if not p_values:
        rule = "leak test moved_labels: a model of targets that were moved in time must not pass the gate"
        raise LeakError(rule, value="passes at every distance", place=_MOVED_MODEL)
    return {"moved_labels": max(p_values)}


def _choose_distances(n_sessions: int) -> list[int]:
    """Up to three distances by which no target gets into a window that holds its own return."""
    farthest = n_sessions - JUDGED_SESSIONS
    return sorted({JUDGED_SESSIONS, n_sessions // 2, farthest})


def move_targets(held: HeldOut, distance: int) -> HeldOut:
    """Return what followed in each session as that which followed so many sessions later, in a circle."""
    moved = np.roll(held.actual, -distance, axis=0)
    return replace(held, actual=np.where(held.cells[..., None], moved, np.nan).astype(np.float32))


def _forecast_moved(settings: Settings, cube: BarCube, cut: int, held: HeldOut) -> Forecasts:
    """Fit the cheap model on moved targets of the newest sessions before the cut; forecast the held-out sessions."""
    model = build_model(_MOVED_MODEL)
    known = hold_out(cube, max(1, cut - _MOVED_SESSIONS), cut)
    windows = sample_windows(
        cube.values,
        lookback=model.lookback,
        origins=known.origins,
        min_observed=max(1, model.lookback - MOST_MISSING),
        limit=_MOVED_WINDOWS,
        seed=settings.seed,
    )
    rows = windows.origin_index - known.origins.start
    targets = move_targets(known, len(known.sessions) // 2).actual[rows, windows.symbol_index]
    kept = np.isfinite(targets).all(axis=-1)
    fitted = model.fit(windows.windows[kept], targets[kept], seed=settings.seed, threads=settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "moved.onnx"
        fitted.save_onnx(graph)
        return forecast_held_out(graph, cube, held, lookback=model.lookback, threads=settings.threads)
