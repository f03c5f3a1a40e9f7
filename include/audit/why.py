"""How much each part of its window moved a forecast: Shapley values over at most ten groups of inputs.

The groups part the window by column and by age, so that any of them may be left out and what stays is a window that
could have been: prices are the close's path, and where open, high and low lay around each close. In the place of a
group that is left out stands a flat window: the newest close in every session, an open, high and low that equal their
close, the median volume of the window, its newest market capitalisation, market-wide columns of zero. All 2^g windows
go through the version's graph in one batch. The newest close is in all of them: the forecast is told against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from include.audit.recall import recall_plan, recall_settings
from include.audit.shapley import list_coalitions, share_out
from include.errors import ClosecastError, InputError
from include.lake.runs import Run
from include.schema import TARGETS, WINDOW_COLUMNS
from include.scoring.graph import load_graph, run_graph
from include.scoring.shard import add_market, read_universe
from include.settings import Settings

Floats = npt.NDArray[np.float64]
Windows = npt.NDArray[np.floating[Any]]

MARKET = "market-wide columns"

_AGES = {
    "close": (("1 session ago", 1, 1), ("2 to 4 ago", 2, 4), ("5 and more ago", 5, None)),
    "open, high, low": (("newest", 0, 0), ("1 to 2 ago", 1, 2), ("3 and more ago", 3, None)),
    "volume": (("newest", 0, 0), ("1 and more ago", 1, None)),
    "market cap": (("all", 0, None),),
    MARKET: (("all", 0, None),),
}
"""Of each part of a bar, the groups of ages: its first and its last in sessions before the newest."""

_CLOSE = WINDOW_COLUMNS.index("close")
_AROUND = [WINDOW_COLUMNS.index(name) for name in ("open", "high", "low")]
_VOLUME, _CAP = WINDOW_COLUMNS.index("volume"), WINDOW_COLUMNS.index("market_cap")


@dataclass(frozen=True)
class Group:
    """A group of inputs: a part of a bar, and in which rows of the window, bool (lookback,)."""

    part: str
    age: str
    rows: npt.NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The group in words."""
        return f"{self.part}, {self.age}"


@dataclass(frozen=True)
class Why:
    """What moved the forecasts of one symbol.

    Attributes
    ----------
    groups
        Names, as many as rows of `shares`.
    target_sessions
        The sessions that are spoken of.
    shares
        (n_groups, n_horizons, 2), log return; they sum to `forecast - baseline`.
    forecast, baseline
        (n_horizons, 2), log return against the last close: of the window as it was, and of the flat one.
    """

    groups: tuple[str, ...]
    target_sessions: tuple[date, ...]
    shares: Floats
    forecast: Floats
    baseline: Floats


def explain_why(settings: Settings, run: Run, symbol: str) -> Why:
    """Share a forecast's distance from that of a flat window out among the parts of its own window.

    Raises
    ------
    InputError
        The symbol has no window.
    NotFoundError
        The bars or the graph are gone.
    ClosecastError
        The graph gives no finite number for a window.
    """
    plan = recall_plan(settings, run)
    cube, _ = read_universe(recall_settings(settings, run), plan)
    cube = add_market(cube, plan.model)
    (chosen,) = np.nonzero(cube.symbols == symbol)
    if not len(chosen):
        raise InputError("a symbol must have bars in the window to be explained", value=symbol, place=run.run_id)
    assert plan.model.onnx is not None  # recall_plan fetched it
    graph = load_graph(plan.model.onnx, threads=settings.threads)

    def forecast(windows: Windows) -> Floats:
        names = np.full(len(windows), symbol, dtype=object)
        made = run_graph(graph, windows, names, horizons=run.horizons).astype(np.float64)
        return made.reshape(len(windows), run.horizons * len(TARGETS))

    groups, shares, worth = share_window(cube.values[-run.lookback :, chosen[0]], forecast)
    shape = (run.horizons, len(TARGETS))
    return Why(
        tuple(group.name for group in groups),
        plan.target_sessions,
        shares.reshape(-1, *shape),
        worth[-1].reshape(shape),
        worth[0].reshape(shape),
    )


def share_window(window: Windows, forecast: Callable[[Windows], Floats]) -> tuple[list[Group], Floats, Floats]:
    """Share out what a window makes of a forecast.

    Parameters
    ----------
    window
        (lookback, 6 + k), the newest session last and present; k market-wide columns where the model has them.
    forecast
        From windows (n, lookback, 6 + k) to log returns (n, n_outputs); an output that is NaN for the window itself, a
        target that the model does not forecast, has shares of NaN.

    Returns
    -------
    groups, shares, worth
        `shares` (n_groups, n_outputs); `worth` (2^n_groups, n_outputs), the first of the flat window, the last of the
        window itself.

    Raises
    ------
    InputError
        The newest session is missing.
    ClosecastError
        The graph gives no finite number for one of the windows.
    """
    if not np.isfinite(window[-1, _CLOSE]):
        raise InputError("the newest session of a window must be there", value="no row")
    groups = list_groups(len(window), with_market=window.shape[1] > len(WINDOW_COLUMNS))
    worth = forecast(mix_windows(window, groups))
    said = np.isfinite(worth[-1])
    if not np.isfinite(worth[:, said]).all():
        raise ClosecastError("a graph must give a finite number for each window", value="none, for a flat one or a mix")
    shares = np.full((len(groups), worth.shape[1]), np.nan)
    shares[:, said] = share_out(worth[:, said])
    return groups, shares, worth


def list_groups(lookback: int, *, with_market: bool = False) -> list[Group]:
    """Return the groups of a window, those that have a session in it; market-wide columns where it has them."""
    age = np.arange(lookback)[::-1]
    found = [
        Group(part, name, (age >= first) & (age <= (lookback if last is None else last)))
        for part, ages in _AGES.items()
        if part != MARKET or with_market
        for name, first, last in ages
    ]
    return [group for group in found if group.rows.any()]


def mix_windows(window: Windows, groups: Sequence[Group]) -> Windows:
    """Build a window for each coalition: its groups as they were, the rest flat; (2^n_groups, lookback, 6 + k)."""
    members = list_coalitions(len(groups))
    taken = {part: np.zeros((len(members), len(window)), dtype=bool) for part in _AGES}
    for at, group in enumerate(groups):
        taken[group.part] |= members[:, at, None] & group.rows
    real = window.astype(np.float64)
    close = np.where(taken["close"], real[:, _CLOSE], real[-1, _CLOSE])
    close[:, -1] = real[-1, _CLOSE]
    mixed = np.empty((len(members), *window.shape))
    mixed[:, :, _CLOSE] = close
    for column in _AROUND:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = real[:, column] / real[:, _CLOSE]
        # Where a row is missing nothing lay around its close; whether it is missing goes with the close.
        ratio[~np.isfinite(ratio)] = 1.0
        mixed[:, :, column] = close * np.where(taken["open, high, low"], ratio, 1.0)
    mixed[:, :, _VOLUME] = np.where(taken["volume"], real[:, _VOLUME], _find_median(real[:, _VOLUME]))
    mixed[:, :, _CAP] = np.where(taken["market cap"], real[:, _CAP], _find_newest(real[:, _CAP]))
    mixed[np.isnan(close)] = np.nan
    # Zero is their middle, and what they are where nothing is known; they are there also where the symbol has no row.
    mixed[:, :, len(WINDOW_COLUMNS) :] = np.where(taken[MARKET][..., None], real[:, len(WINDOW_COLUMNS) :], 0.0)
    result: Windows = mixed.astype(window.dtype)
    result[-1] = window  # to the bit, not by way of a ratio
    return result


def _find_median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _find_newest(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")
