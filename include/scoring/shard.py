"""One shard of a run: its symbols' windows through the graph, and the forecasts as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.backtest.cohorts import VOLATILITY_SESSIONS, measure_volatility
from include.errors import ClosecastError, InputError
from include.lake.bars import BarCube, open_bars, read_cube, sessions_up_to
from include.lake.catalog import open_committed
from include.lake.identity import SymbolChanges
from include.lake.identity_file import load_kept_changes
from include.lake.runs import assign_shards
from include.lake.tables import QUARANTINE, read_where
from include.registry.artifact import ModelVersion
from include.schema import BOUNDS, TARGETS
from include.scoring.calibration import load_calibration
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import explain_silence, read_market_columns
from include.scoring.plan import Plan
from include.scoring.rows import Forecasts, build_rows, check_rows
from include.scoring.universe import Universe, judge_universe
from include.settings import Settings
from models.market import measure_market

WINDOWS_AT_ONCE = 1 << 15
"""Windows that a graph is given in one call: what it holds in between grows with them."""


def score_shard(settings: Settings, plan: Plan, shard: int = 0) -> pa.Table:
    """Forecast the symbols of one shard.

    Returns
    -------
    pyarrow.Table
        As `build_rows` gives it; no rows where no symbol of the universe falls into the shard.

    Raises
    ------
    InputError
        A symbol was asked for that the session's universe does not have.
    """
    cube, universe = read_universe(settings, plan)
    cube = add_market(cube, plan.model)
    chosen = assign_shards(cube.symbols, plan.shards) == shard
    if plan.symbols is not None:
        chosen &= _find_symbols(cube, plan)
    if not chosen.all():
        cube, universe = select_symbols(cube, chosen), universe.select(chosen)
    forecasts = forecast_universe(settings, plan, cube, universe)
    rows = build_rows(cube, universe, forecasts, plan.target_sessions)
    check_rows(rows, symbols=len(cube.symbols), horizons=len(plan.target_sessions))
    return rows


def read_universe(settings: Settings, plan: Plan) -> tuple[BarCube, Universe]:
    """Read the bars that a run goes by, and judge each symbol as it was known then."""
    bars = open_bars(settings.lake, version=plan.bars_version)
    window = max(plan.model.lookback, VOLATILITY_SESSIONS + 1)
    sessions = sessions_up_to(bars, plan.as_of, count=max(settings.universe_sessions, window))
    # In the lake's own precision: a graph is given its windows in that which it declares.
    cube = read_cube(bars, sessions, window=window, changes=_load_changes(settings, plan), precision=np.float64)
    refused = _quarantined(settings, plan)
    return cube, judge_universe(cube, newest=len(sessions) - 1, lookback=plan.model.lookback, quarantined=refused)


def _load_changes(settings: Settings, plan: Plan) -> SymbolChanges:
    return load_kept_changes(settings, plan.reference_version)


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
        raise InputError(f"symbols must be in the universe of session {plan.as_of}", value=named, place="bars")
    return np.fromiter((symbol in asked for symbol in cube.symbols), dtype=bool, count=len(cube.symbols))


def add_market(cube: BarCube, model: ModelVersion) -> BarCube:
    """Put the market-wide columns that a model needs behind those of bars, in the sessions that it looks back on.

    They are of all symbols of the cube, so this comes before any choice of symbols.
    """
    if model.onnx is None:
        raise ClosecastError("a version must have its graph at hand", value=model.version, place=model.name)
    if not (names := read_market_columns(load_graph(model.onnx, threads=1))):
        return cube
    beside = np.full((*cube.values.shape[:2], len(names)), np.nan, dtype=np.float32)
    beside[-model.lookback :] = measure_market(cube.values[-model.lookback :], names)
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


def forecast_universe(settings: Settings, plan: Plan, cube: BarCube, universe: Universe) -> Forecasts:
    """Forecast the symbols of a cube that can be, and lay the intervals."""
    log_returns, reasons = forecast_log_returns(settings, plan.model, cube, universe)
    newest = len(cube.values) - 1
    bars = cube.values.astype(np.float32)  # as where the intervals were learned
    volatility = measure_volatility(bars, range(newest, newest + 1))[0].astype(np.float64)
    bounds = np.full((*log_returns.shape, len(BOUNDS)), np.nan)
    calibration = load_calibration(settings, plan.calibration_version)
    if calibration is not None:
        for horizon in range(log_returns.shape[1]):
            for at in range(len(TARGETS)):
                bounds[:, horizon, at] = calibration.lay(horizon + 1, TARGETS[at], volatility[:, at])
    return Forecasts(log_returns, volatility, bounds, reasons)


def forecast_log_returns(
    settings: Settings, model: ModelVersion, cube: BarCube, universe: Universe
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """Run the model's graph over the scoreable symbols.

    Returns
    -------
    log_returns : numpy.ndarray
        float64 (n_symbols, n_horizons, 2), NaN where a symbol was not asked or the graph gave no finite number.
    reasons : numpy.ndarray
        (n_symbols, 2), why the artifact itself has no forecast of a symbol or target; else None.
    """
    if model.onnx is None:
        raise ClosecastError("a version must have its graph at hand", value=model.version, place=model.name)
    chosen = np.flatnonzero(universe.scoreable)
    result = np.full((len(cube.symbols), model.horizons, len(TARGETS)), np.nan)
    reasons = np.full((len(cube.symbols), len(TARGETS)), None, dtype=object)
    if len(chosen):
        graph, values = load_graph(model.onnx, threads=settings.threads), cube.values[-model.lookback :]
        for some in _split(chosen):
            windows = np.ascontiguousarray(values[:, some].swapaxes(0, 1))
            found = run_graph(graph, windows, cube.symbols[some], horizons=model.horizons).astype(np.float64)
            result[some] = found.reshape(len(some), model.horizons, len(TARGETS))
            reasons[some] = explain_silence(graph, cube.symbols[some])
        result[~np.isfinite(result)] = np.nan
    return result, reasons


def _split(chosen: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(chosen), WINDOWS_AT_ONCE):
        yield chosen[start : start + WINDOWS_AT_ONCE]
