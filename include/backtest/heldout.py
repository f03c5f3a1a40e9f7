"""What every model of a retrain is judged on: the same windows, whose targets none of them was fitted on, as arrays.

A judged cell is a pair of a held-out session and a symbol with enough of its newest sessions, whatever a model's own
lookback is, so that errors of different models can be compared cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from include.backtest.windows import Windows, build_windows
from include.errors import InputError
from include.lake.bars import MOST_MISSING, BarCube
from include.schema import TARGETS, WINDOW_COLUMNS
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import fill_unforecast, read_market_columns
from models.market import join_market
from models.metrics import mean_absolute_error, relative_error

JUDGED_SESSIONS = 10
"""A judged window has so many sessions, up to `MOST_MISSING` of them absent; no model looks back on more."""

_CLOSE = WINDOW_COLUMNS.index("close")

Losses = npt.NDArray[np.float64]
Forecasts = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """What followed, in the cells that are judged.

    Attributes
    ----------
    origins
        (n_sessions,), positions in the cube's sessions of those that are forecast from.
    sessions
        (n_sessions,), the sessions that are forecast.
    actual
        float32 (n_sessions, n_symbols, 2), log returns of the next open and close against the last close; NaN in a cell
        that is not judged.
    """

    origins: range
    sessions: list[date]
    actual: npt.NDArray[np.float32]

    @property
    def cells(self) -> npt.NDArray[np.bool_]:
        """bool (n_sessions, n_symbols), true where judged."""
        return np.asarray(np.isfinite(self.actual[..., 0]))


def hold_out(cube: BarCube, cut: int, end: int | None = None) -> HeldOut:
    """Gather what followed in sessions `cut` to before `end` (by default all) of a cube.

    Raises
    ------
    InputError
        No cell of these sessions can be judged.
    """
    last = len(cube.sessions) if end is None else end
    origins = range(cut - 1, last - 1)
    actual = np.full((len(origins), len(cube.symbols), len(TARGETS)), np.nan, dtype=np.float32)
    for row, origin in enumerate(origins):
        windows = _judged_windows(cube, origin)
        actual[row, windows.symbol_index] = windows.targets
    if not np.isfinite(actual).any():
        raise InputError("the held-out sessions must hold at least one window", value=0, place="bars")
    return HeldOut(origins, cube.sessions[cut:last], actual)


def forecast_held_out(graph: Path, cube: BarCube, held: HeldOut, *, lookback: int, threads: int) -> Forecasts:
    """Run a graph over every judged window, as scoring runs it.

    Returns
    -------
    numpy.ndarray
        float32 (n_sessions, n_symbols, 2), log returns; zero, which is the last close, for a target that the graph
        leaves out; NaN in a cell that is not judged, and where the graph says so.

    Raises
    ------
    InputError
        The model looks back on more than a judged window has.
    """
    if lookback > JUDGED_SESSIONS:
        raise InputError(f"a model may look back on at most {JUDGED_SESSIONS} sessions", value=lookback)
    session = load_graph(graph, threads=threads)
    market = read_market_columns(session)
    forecasts = np.full(held.actual.shape, np.nan, dtype=np.float32)
    for row, origin in enumerate(held.origins):
        windows = _judged_windows(cube, origin, market)
        if len(windows):
            symbols = cube.symbols[windows.symbol_index]
            found = run_graph(session, np.ascontiguousarray(windows.windows[:, -lookback:]), symbols)
            fill_unforecast(session, found)
            forecasts[row, windows.symbol_index] = found
    return forecasts


def _judged_windows(cube: BarCube, origin: int, market: tuple[str, ...] = ()) -> Windows:
    """Make the windows of one origin from the sessions that they and their targets lie in, and no others."""
    first = max(origin + 1 - JUDGED_SESSIONS, 0)
    return build_windows(
        join_market(cube.values[first : origin + 2], market),
        lookback=JUDGED_SESSIONS,
        origins=[origin - first],
        min_observed=JUDGED_SESSIONS - MOST_MISSING,
    )


def measure_forecasts(held: HeldOut, forecasts: Forecasts) -> dict[str, float]:
    """Measure forecasts over all judged cells, each weighing the same.

    Returns
    -------
    dict
        For each target the mean absolute error of the log return and last close's; `relative_error`, the mean over
        targets of their ratio (1 is last close's own); and how many windows were judged.
    """
    y, forecast = held.actual[held.cells].astype(np.float64), forecasts[held.cells].astype(np.float64)
    metrics: dict[str, float] = {"holdout_windows": float(len(y))}
    for axis, target in enumerate(TARGETS):
        metrics[f"{target}_error"] = float(mean_absolute_error(y[:, axis], forecast[:, axis]))
        metrics[f"last_close_{target}_error"] = float(mean_absolute_error(y[:, axis], np.zeros(len(y))))
        metrics[f"{target}_relative_error"] = float(relative_error(y[:, axis], forecast[:, axis]))
    metrics["relative_error"] = float(np.mean([metrics[f"{target}_relative_error"] for target in TARGETS]))
    return metrics


def combine_losses(held: HeldOut, forecasts: Forecasts) -> Losses:
    """Give each cell one loss for both targets: the mean of the absolute errors, each over last close's mean error.

    Returns
    -------
    numpy.ndarray
        float64 (n_sessions, n_symbols), 1 on average for last close; NaN where there is no actual or no forecast. A
        target that is always the last close, as the open is where trading never stops, is weighed as the other one.
    """
    typical = np.nanmean(np.abs(held.actual.astype(np.float64)), axis=(0, 1))
    typical = np.where(typical > 0, typical, typical.max() or 1.0)
    errors = np.abs(held.actual.astype(np.float64) - forecasts)
    return np.asarray((errors / typical).mean(axis=-1))


def measure_volatility(cube: BarCube, held: HeldOut) -> Losses:
    """Measure how volatile each symbol was before each session that is forecast.

    Returns
    -------
    numpy.ndarray
        float64 (n_sessions, n_symbols), standard deviation of the log returns of the close over the `JUDGED_SESSIONS`
        sessions up to the origin; NaN where fewer than two of them are known.
    """
    first = held.origins.start + 1 - JUDGED_SESSIONS
    closes = np.full((len(held.origins) + JUDGED_SESSIONS - 1, len(cube.symbols)), np.nan)
    closes[max(0, -first) :] = cube.values[max(0, first) : held.origins.stop, :, _CLOSE]
    returns = np.diff(np.log(closes), axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(returns, JUDGED_SESSIONS - 1, axis=0)
    known = np.isfinite(windows)
    counts = known.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.sum(windows, axis=-1, where=known) / counts
        squares = np.sum((windows - means[..., None]) ** 2, axis=-1, where=known)
        return np.where(counts >= 2, np.sqrt(squares / counts), np.nan)
