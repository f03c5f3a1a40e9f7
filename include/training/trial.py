"""A backtest as it is asked for: which sessions, and which models by name or as a registered version."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from include.backtest.heldout import forecast_held_out
from include.backtest.measures import Row, Yardsticks, build_yardsticks, measure_models
from include.backtest.walk_forward import OnProgress, OriginFit, WalkForward, walk_forward
from include.errors import InputError
from include.lake.bars import BarCube, open_bars
from include.lake.files import list_sessions
from include.registry.artifact import describe_version, fetch_artifact
from include.registry.versions import RegistryRow, show_version
from include.settings import Settings
from include.training.record import require_known
from include.training.recorded import find_last_seen
from include.training.snapshot import Snapshot, read_snapshot
from models.catalog import MODEL_NAMES

DEFAULT_SESSIONS = 60
"""Newest sessions that are forecast where nothing is said; a third of the history where that is less."""


@dataclass(frozen=True)
class Trial:
    """What is asked for.

    Attributes
    ----------
    models
        Names; all where there is neither a name nor a version.
    version
        A registered version to be judged beside them, or None.
    first, last
        Sessions that are forecast; None for the defaults: `DEFAULT_SESSIONS`, or all after the version's snapshot, up
        to the newest.
    origins, refit
        See `walk_forward`.
    windows
        Most windows of a fit; the setting's where None.
    """

    models: Sequence[str] = ()
    version: int | None = None
    first: date | None = None
    last: date | None = None
    origins: int = 4
    refit: bool = True
    windows: int | None = None


@dataclass(frozen=True)
class TrialResult:
    """What came of it: the bars that were read, their symbols (n_symbols,), the forecasts, and every metric."""

    snapshot: Snapshot
    symbols: npt.NDArray[np.object_]
    walk: WalkForward
    yardsticks: Yardsticks
    rows: list[Row]


def run_trial(settings: Settings, trial: Trial, on_progress: OnProgress | None = None) -> TrialResult:
    """Backtest models on the lake's bars.

    Raises
    ------
    InputError
        The sessions cannot be forecast, or lie in the version's snapshot.
    NotFoundError
        A model or a version does not exist.
    """
    names = tuple(trial.models) or (() if trial.version else MODEL_NAMES)
    require_known(names)
    row = None if trial.version is None else show_version(settings, trial.version)
    last_seen = find_last_seen(settings, row) if row else None
    snapshot = _choose_sessions(settings, trial, last_seen)
    cube = read_snapshot(settings, snapshot)
    first = cube.sessions.index(snapshot.holdout_from)
    walk = walk_forward(
        cube,
        names=names,
        first=first,
        origins=trial.origins if names else 1,
        refit=trial.refit,
        windows=trial.windows or settings.train_windows,
        seed=settings.seed,
        threads=settings.threads,
        on_progress=on_progress,
    )
    if row:
        walk = _add_version(settings, row, cube, walk, is_known=last_seen is not None)
    yardsticks = build_yardsticks(cube, walk.held)
    rows = measure_models(yardsticks, walk.forecasts, threads=settings.threads)
    return TrialResult(snapshot, cube.symbols, walk, yardsticks, rows)


def _choose_sessions(settings: Settings, trial: Trial, last_seen: date | None) -> Snapshot:
    """Decide which sessions are read and which of them are forecast."""
    bars = open_bars(settings.lake)
    sessions = [day for day in list_sessions(bars) if trial.last is None or day <= trial.last]
    first = trial.first if last_seen is None else _require_after(trial, last_seen)
    held = (
        [day for day in sessions if day >= first] if first else sessions[-min(DEFAULT_SESSIONS, len(sessions) // 3) :]
    )
    if not held or len(held) >= len(sessions):
        rule = "bars must hold sessions to forecast, and older ones to fit on"
        raise InputError(rule, value=f"{len(held)} of {len(sessions)} to forecast", place="bars")
    return Snapshot(int(bars.version()), sessions[0], sessions[-1], held[0], len(sessions), len(held))


def _require_after(trial: Trial, last_seen: date) -> date:
    """Give the first session that a version may be judged on, or the later one that is asked for."""
    if trial.first is not None and trial.first <= last_seen:
        rule = f"a version may only be judged on sessions after its snapshot, which ends with {last_seen}"
        raise InputError(rule, value=f"from {trial.first}", place=f"version {trial.version}")
    return trial.first or last_seen + timedelta(days=1)


def _add_version(
    settings: Settings, row: RegistryRow, cube: BarCube, walk: WalkForward, *, is_known: bool
) -> WalkForward:
    """Add a registered version's forecasts of all sessions, by the graph that is registered."""
    version = fetch_artifact(settings, describe_version(settings, row.version, row.tags))
    assert version.onnx is not None  # it was fetched
    started = time.perf_counter()
    forecasts = forecast_held_out(version.onnx, cube, walk.held, lookback=version.lookback, threads=settings.threads)
    name = f"version {row.version} ({row.kind}{'' if is_known else ', may have seen these sessions'})"
    fit = OriginFit(walk.held.sessions[0], 0, 0.0, time.perf_counter() - started)
    return replace(walk, forecasts=walk.forecasts | {name: forecasts}, fits=walk.fits | {name: [fit]})
