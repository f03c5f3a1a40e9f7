"""Leak tests of the columns, before anything is fitted: each refuses a retrain and names the column and the target.

planted_column   No column of a window orders the symbols' next returns more than `leak_correlation` of the settings.
early_column     No column says more of the session that follows than of its own. An honest column is made of what
                 happened in its session, so that what it says of the next is less, however strong a market's signal.
leaning_close    The last close does not lean, seen from the next open, to where the session goes after that open. A
                 signal moves that open with it; a close into which the next one was mixed is left behind.
leading_open     The next open does not lean there either, seen from the last close: it would know its own session.

A limit counts as passed only where chance is excluded: few sessions give large correlations. docs/models.md has the
reasons, what was measured, and what these tests cannot see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from include.backtest.windows import Windows, sample_windows
from include.errors import LeakError
from include.lake.bars import BarCube
from include.schema import TARGETS, WINDOW_COLUMNS
from include.settings import Settings

_WINDOWS, _LOOKBACK = 50_000, 10
_PARTS, _ERRORS = 8, 3.0
_FEWEST_PAIRS = 100
_LEANING, _LEADING = (f"{name} with the course of the next session" for name in ("close", "next open"))
_PRICES = _OPEN, _HIGH, _LOW, _CLOSE = tuple(WINDOW_COLUMNS.index(name) for name in ("open", "high", "low", "close"))

Floats = npt.NDArray[np.floating[Any]]
Measure = Callable[[npt.NDArray[np.bool_]], float]
"""Gives a figure of the windows chosen."""


@dataclass(frozen=True)
class _Figure:
    """The largest that a test has found, and of what; `measure` finds it again on other windows."""

    value: float
    where: str
    measure: Measure


def check_columns(settings: Settings, cube: BarCube, cut: int) -> dict[str, float | str]:
    """Hold every column of a sample of windows before the cut against the targets.

    Each is taken as it is, over the close, and either over what it was a session before and over nine sessions before.

    Parameters
    ----------
    settings
        The seed, `leak_correlation`, `leak_margin`.
    cube, cut
        The snapshot's bars and the position of its first held-out session.

    Returns
    -------
    dict
        What each test has found at the most, and where.

    Raises
    ------
    LeakError
        One is beyond its limit, in the sample and beyond chance.
    """
    asked: dict[str, Any] = {"lookback": _LOOKBACK, "origins": range(cut - 1), "min_observed": 1, "limit": _WINDOWS}
    windows = sample_windows(cube.values, **asked, seed=settings.seed)
    planted, early = _measure_forms(windows)
    leaning = _measure_leaning(windows, cube)
    most, margin = settings.leak_correlation, settings.leak_margin
    sizes = "of ranks, CLOSECAST_LEAK_CORRELATION"
    _refuse(windows, planted, most, f"planted_column: no column may carry a target (correlation above {most} {sizes})")
    rule = "a column must not say more of the next session than of its own (correlation of ranks larger by above"
    _refuse(windows, early, margin, f"early_column: {rule} {margin}, CLOSECAST_LEAK_MARGIN)")
    rule = "the last close must not lean to where the session after the next open goes (correlation of ranks above"
    _refuse(windows, leaning, margin, f"leaning_close: {rule} {margin}, CLOSECAST_LEAK_MARGIN)")
    leading = _Figure(-leaning.value, _LEADING, lambda chosen: -leaning.measure(chosen))
    rule = "an open must not lean to where its session goes (correlation of ranks above"
    _refuse(windows, leading, most / 2, f"leading_open: {rule} {most / 2:g}, half of CLOSECAST_LEAK_CORRELATION)")
    found = {"planted_column": planted, "early_column": early}
    named: dict[str, float | str] = {}
    for name, figure in found.items():
        named |= {name: figure.value, f"{name}_where": figure.where}
    return named | {"leaning_close": leaning.value}


def _measure_forms(windows: Windows) -> tuple[_Figure, _Figure]:
    """The form with the largest correlation with a target, and that which is the most ahead of its session."""
    assert windows.targets is not None  # sample_windows always gives them
    newest, before = windows.windows[:, -1].astype(np.float64), windows.windows[:, -2].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.log(newest[:, _CLOSE] / before[:, _CLOSE])
    planted = early = _Figure(-1.0, "", lambda chosen: 0.0)
    for form, values, is_comparable in _list_forms(windows.windows):
        of_own = _correlate_ranks(values, own)
        for axis, target in enumerate(TARGETS):
            following = windows.targets[:, axis]
            of_next = _correlate_ranks(values, following)
            where = f"{form} with the next {target}"
            held = _Held(values, ((following, float(np.sign(of_next))), (own, -float(np.sign(of_own)))))
            if abs(of_next) > planted.value:
                planted = _Figure(abs(of_next), where, replace(held, others=held.others[:1]).measure)
            if is_comparable and abs(of_next) - abs(of_own) > early.value:
                early = _Figure(abs(of_next) - abs(of_own), where, held.measure)
    return planted, early


@dataclass(frozen=True)
class _Held:
    """Values (n,), and what they are held against, each with the sign by which its correlation counts.

    The signs are those found in all windows, so that what is there by chance changes sides from part to part.
    """

    values: Floats
    others: tuple[tuple[Floats, float], ...]

    def measure(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Sum of the correlations over the windows chosen."""
        return sum(sign * _correlate_ranks(self.values[chosen], other[chosen]) for other, sign in self.others)


def _list_forms(windows: Floats) -> Iterator[tuple[str, Floats, bool]]:
    """Each column of the newest session (n,) in its forms, and whether symbols can be compared by that form.

    A size that is a symbol's own, as its number of coins is, goes by chance with how few symbols have fared.
    """
    newest, before = windows[:, -1].astype(np.float64), windows[:, -2].astype(np.float64)
    close = newest[:, _CLOSE]
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = _average(windows[:, :-1])
        usual_by_close = _average(windows[:, :-1] / windows[:, :-1, _CLOSE, None])
        for axis, name in enumerate(WINDOW_COLUMNS):
            values = newest[:, axis]
            yield name, values, False
            if axis != _CLOSE:
                yield f"{name} / close", values / close, axis in _PRICES
            yield f"{name} / {name} before", values / before[:, axis], True
            yield f"{name} / its mean before", values / usual[:, axis], True
            if axis not in _PRICES:
                yield f"{name} / close / its mean before", values / close / usual_by_close[:, axis], True


def _average(windows: Floats) -> npt.NDArray[np.float64]:
    """Mean over the sessions that are known, (n, n_columns)."""
    known = np.isfinite(windows)
    return np.asarray(np.sum(windows, axis=1, where=known, dtype=np.float64) / known.sum(axis=1))


def _measure_leaning(windows: Windows, cube: BarCube) -> _Figure:
    """How far the last close lies to that side of the next open to which the session goes from there.

    Where it goes is told by its close against the middle of its range: that holds no error of the open, which would
    tie the two together in an honest market.
    """
    following = cube.values[windows.origin_index + 1, windows.symbol_index].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lean = windows.windows[:, -1, _CLOSE] / following[:, _OPEN]
        course = following[:, _CLOSE] / np.sqrt(following[:, _HIGH] * following[:, _LOW])
    return _Figure(
        _correlate_ranks(lean, course),
        _LEANING,
        lambda chosen: _correlate_ranks(lean[chosen], course[chosen]),
    )


def _refuse(windows: Windows, figure: _Figure, limit: float, rule: str) -> None:
    """Refuse a figure above its limit, unless parts of the sessions, one after the other, differ as widely.

    Their successive differences tell the error (von Neumann 1941, Annals of Mathematical Statistics 12(4), 367-395), so
    that a column that has leaked since some day is not taken for an unsteady one.

    Raises
    ------
    LeakError
        It is above.
    """
    if figure.value <= limit:
        return
    edges = np.quantile(windows.origin_index, np.arange(1, _PARTS) / _PARTS)
    part = np.searchsorted(edges, windows.origin_index, side="right")
    found = np.array([figure.measure(part == number) for number in range(_PARTS)])
    error = float(np.sqrt(np.mean(np.diff(found) ** 2) / 2 / _PARTS))
    if figure.value - _ERRORS * error > limit:
        raise LeakError(f"leak test {rule}", value=f"{figure.value:.3f}, {figure.where}", place="bars")


def _correlate_ranks(values: Floats, others: Floats) -> float:
    """Spearman's rank correlation over the pairs that are there; 0 where there are few or nothing varies."""
    from scipy.stats import rankdata

    known = np.isfinite(values) & np.isfinite(others)
    if np.count_nonzero(known) < _FEWEST_PAIRS:
        return 0.0
    ranks = rankdata(np.stack([values[known], others[known]]), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = float(np.sqrt((ranks**2).sum(axis=1).prod()))
    return float(ranks[0] @ ranks[1] / size) if size else 0.0
