"""Prediction intervals by conformal calibration: how wide they must be is read off earlier sessions' errors.

1. An error is divided by its symbol's own volatility as it was known before the session (the locally weighted
   conformity score of J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, J. Am. Stat. Assoc. 113, 2018,
   p. 1094-1111, section 5.2).
2. Scores are pooled by cohort of volatility, so that calm and wild symbols are covered alike (V. Vovk, Conditional
   validity of inductive conformal predictors, Machine Learning 92, 2013, p. 349-376: Mondrian categories), and both
   tails are calibrated apart, since returns are skewed (Y. Romano, E. Patterson and E. J. Candès, Conformalized
   Quantile Regression, NeurIPS 2019, theorem 2). What a cohort finds is drawn to the whole pool's where it has few
   scores.
3. The share that may lie outside adapts as outcomes come in: after a session with too many of a cohort outside, fewer
   may (I. Gibbs and E. Candès, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021, equation 2; one
   step a session, by the share of the cohort that was outside).

Arrays in, arrays out: the backtest and a scoring run use the same functions. Where many prices do not move, errors pile
up on one value. Ranks are taken outwards and the bounds belong to the interval, so that such a pile on a bound is
inside, and the third step then lets more of the others outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError

LEVELS = (80, 95)
"""Percent of the actual values that an interval is to hold."""

CALIBRATION_SESSIONS = 30
"""Newest sessions that are calibrated on: more remember regimes long gone, fewer make the bounds jump."""

FEWEST_SESSIONS = 10
"""Sessions with known errors before an interval is given at all."""

COHORTS = 10
"""Of volatility, equally many scores in each."""

FEW_SCORES = 200
"""A cohort of so many scores weighs as much as the whole pool, one of thousands nearly stands alone."""

ADAPTATION = 0.5
"""How fast the share outside adapts, over that share: the step size of the paper is 0.1 for 80 %."""

LARGEST_ADAPTATION = 4.0
"""The share outside stays within its level's, divided and multiplied by this: a wild month must not end in bounds
without end, nor a still one in none."""

COLD_QUANTILE = 0.8
"""Of the pool's volatilities, the unit of a symbol whose own is not known yet: new listings are wilder than most."""

SMALLEST_UNIT = 1e-4
"""Of a symbol that has not moved lately, in log return: it still has an interval."""

_EDGE_VALUES = 20_000
"""Volatilities that the edges of cohorts are read off, evenly spread over the pool."""

Floats = npt.NDArray[np.floating[Any]]
Offsets = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that is needed to lay one target's intervals.

    Attributes
    ----------
    levels
        Percent inside.
    edges
        float32 (n_cohorts - 1,), volatilities between the cohorts, calmest first.
    counts
        int64 (n_cohorts,), scores in each.
    outside
        float64 (n_cohorts, n_levels), share that may lie outside, as adapted.
    offsets
        float64 (n_cohorts, n_levels, 2), where bounds lie around a forecast in units of volatility: lower (at most 0:
        the forecast itself is always inside) and upper (at least 0); NaN where there are too few scores for a level.
    cold_offsets
        float64 (n_levels, 2), the same of the whole pool, for symbols whose volatility is not known.
    cold_unit
        Their unit, in log return.
    """

    levels: tuple[int, ...]
    edges: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    outside: npt.NDArray[np.float64]
    offsets: Offsets
    cold_offsets: Offsets
    cold_unit: float

    def to_json(self) -> dict[str, Any]:
        """Give numbers and lists of them, None for NaN; `from_json` makes the same bits of them."""
        return {
            "levels": list(self.levels),
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "outside": self.outside.tolist(),
            "offsets": _list_numbers(self.offsets),
            "cold_offsets": _list_numbers(self.cold_offsets),
            "cold_unit": self.cold_unit,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` gave."""
        return cls(
            levels=tuple(said["levels"]),
            edges=np.array(said["edges"], dtype=np.float32),
            counts=np.array(said["counts"], dtype=np.int64),
            outside=np.array(said["outside"], dtype=np.float64),
            offsets=np.array(said["offsets"], dtype=np.float64),
            cold_offsets=np.array(said["cold_offsets"], dtype=np.float64),
            cold_unit=float(said["cold_unit"]),
        )


def scale_errors(actual: Floats, forecast: Floats, volatility: Floats) -> Floats:
    """Divide errors, actual - forecast, by volatility, of one shape; NaN where any is."""
    return np.asarray((actual - forecast) / np.maximum(volatility, SMALLEST_UNIT))


def fit_calibration(
    scores: Floats,
    volatility: Floats,
    levels: Sequence[int] = LEVELS,
    *,
    previous: Calibration | None = None,
) -> Calibration:
    """Find where bounds must lie around the next session's forecasts.

    Parameters
    ----------
    scores
        (n_sessions, n_symbols), from `scale_errors`, sessions in order; the newest `CALIBRATION_SESSIONS` count, and
        what is not finite is left out.
    volatility
        The same shape, known before each session.
    levels
        Percent inside, each above 0 and below 100.
    previous
        What the newest session's intervals were laid by; by default the share outside starts at its level's.

    Raises
    ------
    InputError
        A level is out of range, or `previous` has other levels.
    """
    if previous is not None and previous.levels != tuple(levels):
        raise InputError("levels must be those of the previous calibration", value=tuple(levels))
    chosen = np.array([_share_outside(level) for level in levels])
    outside = (
        np.tile(chosen, (COHORTS, 1)) if previous is None else _adapt(previous, chosen, scores[-1], volatility[-1])
    )
    newest = slice(-CALIBRATION_SESSIONS, None)
    known = np.isfinite(scores[newest]) & np.isfinite(volatility[newest])
    if np.count_nonzero(known.any(axis=1)) < FEWEST_SESSIONS:
        known[:] = False
    pool, units = (np.asarray(values[newest][known], dtype=np.float32) for values in (scores, volatility))
    edges, cold_unit = _find_edges(units)
    cohort = _find_cohorts(edges, units)
    counts = np.bincount(cohort, minlength=COHORTS)
    by_cohort = np.split(pool[np.argsort(cohort, kind="stable")], np.cumsum(counts)[:-1])
    whole = np.sort(pool)
    offsets = [
        _blend(_find_offsets(np.sort(part), share), _find_offsets(whole, share), len(part))
        for part, share in zip(by_cohort, outside, strict=True)
    ]
    return Calibration(
        tuple(levels), edges, counts, outside, np.stack(offsets), _find_offsets(whole, chosen), cold_unit
    )


def lay_intervals(calibration: Calibration, forecast: Floats, volatility: Floats) -> tuple[Floats, Floats]:
    """Lay bounds around forecasts.

    Parameters
    ----------
    calibration
        From `fit_calibration`.
    forecast, volatility
        (n_symbols,), log returns and their unit; where the unit is NaN, as of a new listing, the bounds are the whole
        pool's in the calibration's cold unit.

    Returns
    -------
    lower, upper
        float32 (n_levels, n_symbols), log returns.
    """
    offsets = np.concatenate([calibration.offsets, calibration.cold_offsets[None]]).astype(np.float32)
    is_known = np.isfinite(volatility)
    cohort = np.where(is_known, _find_cohorts(calibration.edges, volatility), COHORTS)
    unit = np.maximum(np.where(is_known, volatility, calibration.cold_unit), SMALLEST_UNIT)
    laid = forecast + offsets[cohort].transpose(2, 1, 0) * unit
    lower, upper = laid.astype(np.float32, copy=False)
    return lower, upper


def walk_calibrations(
    scores: Floats, volatility: Floats, levels: Sequence[int] = LEVELS
) -> Iterator[tuple[int, Calibration]]:
    """Calibrate for one session after the other, each time on those before it.

    Parameters
    ----------
    scores, volatility, levels
        As `fit_calibration` takes them, of any number of sessions.

    Yields
    ------
    tuple
        A session's position from `FEWEST_SESSIONS` on, and what its intervals are to be laid by. The last one is for
        the session that follows the last.
    """
    last = None
    for row in range(FEWEST_SESSIONS, len(scores) + 1):
        pool = slice(max(row - CALIBRATION_SESSIONS, 0), row)
        last = fit_calibration(scores[pool], volatility[pool], levels, previous=last)
        yield row, last


def walk_intervals(
    actual: Floats, forecast: Floats, volatility: Floats, levels: Sequence[int] = LEVELS
) -> tuple[Floats, Floats]:
    """Give every session intervals calibrated on the sessions before it, whose errors were known at its origin.

    Parameters
    ----------
    actual, forecast
        (n_sessions, n_symbols), log returns of one target, sessions in order.
    volatility
        The same shape, known before each session.
    levels
        Percent inside.

    Returns
    -------
    lower, upper
        float32 (n_levels, n_sessions, n_symbols); NaN in the first `FEWEST_SESSIONS` sessions.
    """
    lower = np.full((len(levels), *forecast.shape), np.nan, dtype=np.float32)
    upper = np.full_like(lower, np.nan)
    scores = scale_errors(actual, forecast, volatility)
    for row, calibration in walk_calibrations(scores, volatility, levels):
        if row < len(forecast):
            lower[:, row], upper[:, row] = lay_intervals(calibration, forecast[row], volatility[row])
    return lower, upper


def _find_edges(units: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Volatilities between cohorts, and the unit of those whose own is not known; zeros where there is none at all."""
    spread = units[:: max(1, len(units) // _EDGE_VALUES)] if len(units) else np.zeros(1, dtype=np.float32)
    edges = np.quantile(spread, np.arange(1, COHORTS) / COHORTS).astype(np.float32)
    return edges, float(np.quantile(spread, COLD_QUANTILE))


def _find_cohorts(edges: npt.NDArray[np.float32], units: Floats) -> npt.NDArray[np.uint8]:
    """Number volatilities by cohort, a NaN 0; many times faster than np.searchsorted at so few edges."""
    cohort = np.zeros(np.shape(units), dtype=np.uint8)
    for edge in edges:
        cohort += units >= edge
    return cohort


def _adapt(
    previous: Calibration, chosen: npt.NDArray[np.float64], scores: Floats, volatility: Floats
) -> npt.NDArray[np.float64]:
    """Move each cohort's share outside against what was outside in the session that `previous` was for."""
    known = np.flatnonzero(np.isfinite(scores) & np.isfinite(volatility))
    cohort = _find_cohorts(previous.edges, volatility[known])
    counts = np.bincount(cohort, minlength=COHORTS)
    share = np.tile(chosen, (COHORTS, 1))
    for level in range(len(chosen)):
        low, high = previous.offsets[cohort, level].T
        missed = np.bincount(cohort, (scores[known] < low) | (scores[known] > high), minlength=COHORTS)
        judged = (counts > 0) & np.isfinite(previous.offsets[:, level, 0])
        share[judged, level] = missed[judged] / counts[judged]
    adapted = previous.outside + ADAPTATION * chosen * (chosen - share)
    return np.clip(adapted, chosen / LARGEST_ADAPTATION, chosen * LARGEST_ADAPTATION)


def _find_offsets(pool: npt.NDArray[np.float32], outside: npt.NDArray[np.float64]) -> Offsets:
    """Read bounds (n_levels, 2) off a sorted pool, half of what may lie outside beyond each; NaN from too few."""
    n = len(pool)
    # Rounded first: (n + 1) * 0.1 must not become the next rank by its last bit.
    low = np.floor(np.round((n + 1) * outside / 2, 9)).astype(np.int64)
    enough = low >= 1
    offsets = np.full((len(outside), 2), np.nan)
    if enough.any():
        offsets[enough, 0] = np.minimum(pool[low[enough] - 1], 0.0)
        offsets[enough, 1] = np.maximum(pool[n - low[enough]], 0.0)
    return offsets


def _blend(cohort: Offsets, whole: Offsets, count: int) -> Offsets:
    """Draw a cohort's bounds to the whole pool's, the more the fewer its scores."""
    weight = count / (count + FEW_SCORES)
    return np.where(np.isfinite(cohort), weight * cohort + (1 - weight) * whole, whole)


def _share_outside(level: int) -> float:
    """Share of the actual values that may lie outside, half of it beyond each bound."""
    if not 0 < level < 100:
        raise InputError("an interval's level must be above 0 and below 100 percent", value=level)
    return 1 - level / 100


def _list_numbers(values: Offsets) -> list[Any]:
    """Give nested lists with None for NaN, which JSON does not know."""
    listed = values.astype(object)
    listed[~np.isfinite(values)] = None
    return list(listed.tolist())
