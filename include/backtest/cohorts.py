"""By what forecasts are told apart: volatility, market cap and age of a cell, each as known before its session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from include.backtest.heldout import HeldOut
from include.lake.bars import BarCube
from include.schema import TARGETS, WINDOW_COLUMNS

DECILES = 10

VOLATILITY_SESSIONS = 40
"""Sessions up to an origin over which a symbol's volatility is measured. Over fewer, one that happened to be calm has
intervals that are too narrow; over more, all have when the market turns wild (docs/backtest.md)."""

FEWEST_RETURNS = 5
"""Known returns that a symbol's volatility takes; the mean of fewer gives intervals that hold far too little."""

LARGEST_MOVE = 1.0
"""Log return above which a move counts as this: one 723-fold day must not be a coin's volatility for a month."""

AGES = {"below 30": 0, "30 to 89": 30, "90 to 249": 90, "250 or more": 250}
"""Groups of age by their first session; the bars' first session is the oldest that is known."""

_CLOSE, _CAP = WINDOW_COLUMNS.index("close"), WINDOW_COLUMNS.index("market_cap")
_CLOSES = TARGETS.index("close")

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cohort:
    """A way to group judged cells.

    Attributes
    ----------
    name
        Such as volatility.
    labels
        Of the groups, in order.
    codes
        int64 (n_cells,), the group of each cell in the order of `HeldOut.cells`; -1 in none.
    """

    name: str
    labels: tuple[str, ...]
    codes: npt.NDArray[np.int64]


def measure_volatility(
    values: npt.NDArray[np.floating[Any]],
    origins: range,
    sessions: int = VOLATILITY_SESSIONS,
    fewest: int = FEWEST_RETURNS,
) -> Floats32:
    """Measure how far each target usually lies from the last close, from bars up to each origin.

    Parameters
    ----------
    values
        (n_sessions, n_symbols, 6), NaN where there is no bar; measured in float32, whatever they come in.
    origins
        Positions of the sessions that are forecast from, one after the other.
    sessions
        How many up to the origin count.
    fewest
        Known returns that it takes.

    Returns
    -------
    numpy.ndarray
        float32 (n_origins, n_symbols, 2), mean absolute log return of open and close against the close before, moves
        above `LARGEST_MOVE` as this; NaN where fewer returns are known.
    """
    first = max(origins.start - sessions, 0)
    known = values[first : origins.stop]
    ends = np.asarray(origins) - first  # in moves, whose first is that of the second session
    starts = np.maximum(ends - sessions, 0)
    volatility = np.full((len(origins), values.shape[1], len(TARGETS)), np.nan, dtype=np.float32)
    closes = known[:-1, :, _CLOSE].astype(np.float32, copy=False)
    for axis, target in enumerate(TARGETS):
        came = known[1:, :, WINDOW_COLUMNS.index(target)].astype(np.float32, copy=False)
        with np.errstate(divide="ignore", invalid="ignore"):
            moves = np.abs(np.log(came / closes))
        moves = np.where(np.isfinite(moves), np.minimum(moves, LARGEST_MOVE), np.nan).astype(np.float64)
        counts = _sum_between(np.isfinite(moves).astype(np.float64), starts, ends)
        sums, enough = _sum_between(np.nan_to_num(moves), starts, ends), counts >= max(fewest, 1)
        np.divide(sums, counts, out=volatility[..., axis], where=enough)
    return volatility


def _sum_between(
    moves: npt.NDArray[np.float64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Sum rows starts..ends - 1 of (n, n_symbols), for each pair."""
    sums = np.zeros((len(moves) + 1, moves.shape[1]))
    np.cumsum(moves, axis=0, out=sums[1:])
    return np.asarray(sums[ends] - sums[starts])


def find_cohorts(cube: BarCube, held: HeldOut, volatility: Floats32) -> tuple[Cohort, ...]:
    """Group the judged cells: all, deciles of volatility (of closes) and of market cap, ages.

    Deciles are over all sessions together, as the gate's are; a cell without a market cap is in no decile of it.
    """
    cells = held.cells
    caps = cube.values[held.origins.start : held.origins.stop, :, _CAP]
    caps = np.where(caps > 0, caps, np.nan)
    deciles = tuple(str(number + 1) for number in range(DECILES))
    return (
        Cohort("all", ("all",), np.zeros(int(cells.sum()), dtype=np.int64)),
        Cohort("volatility decile", deciles, split_deciles(cells, volatility[..., _CLOSES])),
        Cohort("market cap decile", deciles, split_deciles(cells, caps)),
        Cohort("age in sessions", tuple(AGES), _group_ages(cube, held)),
    )


def _group_ages(cube: BarCube, held: HeldOut) -> npt.NDArray[np.int64]:
    """Group each judged cell by the sessions from its symbol's first bar to its origin."""
    listed = cube.mask.argmax(axis=0)
    origin, symbol = np.nonzero(held.cells)
    ages = origin + held.origins.start - listed[symbol]
    return np.asarray(np.searchsorted(list(AGES.values()), ages, side="right") - 1)


def split_deciles(cells: npt.NDArray[np.bool_], volatility: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """Number the judged cells 0..9 by volatility, over all sessions together.

    Parameters
    ----------
    cells
        bool (n_sessions, n_symbols), those judged.
    volatility
        (n_sessions, n_symbols), NaN where it is not known.

    Returns
    -------
    int64 (n_cells,), in the order of `volatility[cells]`; -1 where it is not known.
    """
    values = volatility[cells]
    known = np.isfinite(values)
    edges = np.quantile(values[known], np.arange(1, DECILES) / DECILES) if known.any() else np.zeros(DECILES - 1)
    return np.where(known, np.searchsorted(edges, values, side="right"), -1)
