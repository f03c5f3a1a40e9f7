"""One shard of a run: its symbols' windows through the graph, and the forecasts as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.backtest.cohorts import VOLATILITY_SESSIONS, measure_volatility
from include.errors import ClosecastError, InputError
from include.lake.bars import BarCube, open_bars, read_cube, sessions_up_to
from include.lake.catalog import open_committed
from include.lake.identity_file import load_kept_changes
from include.lake.reads import read_where
from include.lake.runs import assign_shards
from include.lake.tables import QUARANTINE
from include.registry.artifact import ModelVersion
from include.schema import BOUNDS, TARGETS
from include.scoring.calibration import Calibrated, load_calibration
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import explain_silence, read_market_columns
from include.scoring.plan import Plan, Sources
from include.scoring.rows import Forecasts, build_rows, check_rows
from include.scoring.universe import Universe, judge_universe
from include.settings import Settings
from models.market import measure_market

SYMBOLS_AT_ONCE = 1 << 15
"""Symbols that a graph is given in one call, and volatility measured of: what is held in between grows with them."""


def score_shard(settings: Settings, plan: Plan, shard: int = 0, *, sources: Sources | None = None) -> pa.Table:
    """Forecast the symbols of one shard.

    Parameters
    ----------
    settings, plan, shard
        Which run, and which part of it.
    sources
        What the plan names, where it is open already: to open a table takes as long as to run a graph.

    Returns
    -------
    pyarrow.Table
        As `build_rows` gives it; no rows where no symbol of the universe falls into the shard.

    Raises
    ------
    InputError
        A symbol was asked for that the session's universe does not have.
    """
    cube, universe = read_universe(settings, plan, sources.bars if sources else None)
    calibration = sources.calibration if sources else load_calibration(settings, plan.calibration_version)
    return score_symbols(settings, plan, cube, universe, shard, calibration=calibration)


def score_symbols(
    settings: Settings,
    plan: Plan,
    cube: BarCube,
    universe: Universe,
    shard: int = 0,
    *,
    calibration: Calibrated | None = None,
) -> pa.Table:
    """Forecast the symbols of one shard of a universe that was read; as `score_shard`."""
    graph = _open_graph(plan.model, settings.threads)  # once: to open one takes as long as to run it
    cube = add_market(cube, plan.model, graph)
    chosen = assign_shards(cube.symbols, plan.shards) == shard
    if plan.symbols is not None:
        chosen &= _find_symbols(cube, plan)
    if not chosen.all():
        cube, universe = select_symbols(cube, chosen), universe.select(chosen)
    forecasts = forecast_universe(settings, plan.model, cube, universe, graph=graph, calibration=calibration)
    rows = build_rows(cube, universe, forecasts, plan.target_sessions)
    check_rows(rows, symbols=len(cube.symbols), horizons=len(plan.target_sessions))
    return rows


def read_universe(settings: Settings, plan: Plan, bars: DeltaTable | None = None) -> tuple[BarCube, Universe]:
    """Read the bars that a run goes by, open already or not, and judge each symbol as it was known then."""
    if bars is None:
        bars = open_bars(settings.lake, version=plan.bars_version)
    window = max(plan.model.lookback, VOLATILITY_SESSIONS + 1)
    sessions = sessions_up_to(bars, plan.as_of, count=sessions_read(settings, plan.model.lookback))
    changes, lookback = load_kept_changes(settings, plan.reference_version), plan.model.lookback
    # Volatility takes more sessions than the model looks back on, but of open and close alone. In the lake's own
    # precision: a graph is given its windows in that which it declares.
    cube = read_cube(bars, sessions, window=window, whole=lookback, changes=changes, precision=np.float64)
    refused = _quarantined(settings, plan)
    return cube, judge_universe(cube, newest=len(sessions) - 1, lookback=lookback, quarantined=refused)


def sessions_read(settings: Settings, lookback: int) -> int:
    """Return how many sessions up to its own a score reads: for universe, window and volatility."""
    return max(settings.universe_sessions, lookback, VOLATILITY_SESSIONS + 1)


def _quarantined(settings: Settings, plan: Plan) -> set[str]:
    """Return the symbols whose row of the session was refused and had not been released or repaired by then."""
    if plan.quarantine_version is None:
        return set()
    quarantine = open_committed(settings.lake, QUARANTINE, version=plan.quarantine_version)
    refused = read_where(quarantine, "session", plan.as_of, plan.as_of, columns=["symbol", "resolved_by"])
    return set(refused.filter(pc.is_null(refused["resolved_by"]))["symbol"].to_pylist())


def _find_symbols(cube: BarCube, plan: Plan) -> npt.NDArray[np.bool_]:
    asked = set(plan.symbols or ())
    unknown = sorted(asked - set(cube.symbols))
    if unknown or not asked:
        named = ", ".join(unknown[:5]) or "none"
        rule = f"symbols must be in the universe of session {plan.as_of} (closecast lake symbols)"
        raise InputError(rule, value=named, place="bars")
    return np.fromiter((symbol in asked for symbol in cube.symbols), dtype=bool, count=len(cube.symbols))


def _open_graph(model: ModelVersion, threads: int) -> Any:
    if model.onnx is None:
        raise ClosecastError("a version must have its graph at hand", value=model.version, place=model.name)
    return load_graph(model.onnx, threads=threads)


def add_market(cube: BarCube, model: ModelVersion, graph: Any = None) -> BarCube:
    """Put the market-wide columns that a model needs behind those of bars, in the sessions that it looks back on.

    They are of all symbols of the cube, so this comes before any choice of symbols.
    """
    if not (names := read_market_columns(graph or _open_graph(model, 1))):
        return cube
    beside = np.full((*cube.values.shape[:2], len(names)), np.nan, dtype=np.float32)
    # The session before the window gives the return of its first, as it does where whole cubes are measured.
    found = measure_market(cube.values[-model.lookback - 1 :], names)
    beside[-model.lookback :] = found[-model.lookback :]
    return replace(cube, values=np.concatenate([cube.values, beside], axis=-1))


def select_symbols(cube: BarCube, chosen: npt.NDArray[np.bool_]) -> BarCube:
    """Keep some symbols of a cube; `chosen` is bool (n_symbols,)."""
    return replace(
        cube,
        values=cube.values[:, chosen],
        symbols=cube.symbols[chosen],
        last_close=cube.last_close[chosen],
        last_seen=cube.last_seen[chosen],
    )


def forecast_universe(
    settings: Settings,
    model: ModelVersion,
    cube: BarCube,
    universe: Universe,
    *,
    graph: Any,
    calibration: Calibrated | None,
) -> Forecasts:
    """Forecast the symbols of a cube that can be, and lay the intervals."""
    log_returns, reasons = forecast_log_returns(settings, model, cube, universe, graph)
    newest, volatility = len(cube.values) - 1, np.empty((len(cube.symbols), len(TARGETS)))
    for some in _split(np.arange(len(cube.symbols))):
        each = slice(some[0], some[-1] + 1)
        volatility[each] = measure_volatility(cube.values[:, each], range(newest, newest + 1))[0]
    bounds = np.full((*log_returns.shape, len(BOUNDS)), np.nan)
    if calibration is not None:
        for horizon in range(log_returns.shape[1]):
            for at in range(len(TARGETS)):
                bounds[:, horizon, at] = calibration.lay(horizon + 1, TARGETS[at], volatility[:, at])
    return Forecasts(log_returns, volatility, bounds, reasons)


def forecast_log_returns(
    settings: Settings, model: ModelVersion, cube: BarCube, universe: Universe, graph: Any = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """Run the model's graph, or the one that is open already, over the scoreable symbols.

    Returns
    -------
    log_returns : numpy.ndarray
        float64 (n_symbols, n_horizons, 2), NaN where a symbol was not asked or the graph gave no finite number.
    reasons : numpy.ndarray
        (n_symbols, 2), why the artifact itself has no forecast of a symbol or target; else None.
    """
    chosen = np.flatnonzero(universe.scoreable)
    result = np.full((len(cube.symbols), model.horizons, len(TARGETS)), np.nan)
    reasons = np.full((len(cube.symbols), len(TARGETS)), None, dtype=object)
    if len(chosen):
        graph, values = graph or _open_graph(model, settings.threads), cube.values[-model.lookback :]
        for some in _split(chosen):
            windows = np.ascontiguousarray(values[:, some].swapaxes(0, 1))
            found = run_graph(graph, windows, cube.symbols[some], horizons=model.horizons).astype(np.float64)
            result[some] = found.reshape(len(some), model.horizons, len(TARGETS))
            reasons[some] = explain_silence(graph, cube.symbols[some])
        result[~np.isfinite(result)] = np.nan
    return result, reasons


def _split(chosen: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(chosen), SYMBOLS_AT_ONCE):
        yield chosen[start : start + SYMBOLS_AT_ONCE]
