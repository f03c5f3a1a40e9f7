"""Prediction intervals by split conformal calibration: how wide they must be is read off earlier sessions' errors.

An error is divided by its symbol's own volatility as it was known before the session (the locally weighted conformity
score of J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, J. Am. Stat. Assoc. 113, 2018, p. 1094-1111,
section 5.2), so that one calibration serves a stable coin and a wild one. Both tails are calibrated apart, since
returns are skewed (Y. Romano, E. Patterson and E. J. Candès, Conformalized Quantile Regression, NeurIPS 2019, theorem
2). Arrays in, arrays out: the backtest and a scoring run use the same functions.

Where many prices do not move, errors pile up on one value. Ranks are taken outwards and the bounds belong to the
interval, so that such a pile on a bound is inside: coverage is then above its level, never below by it.
"""

from __future__ import annotations

from collections.abc import Sequence
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

SMALLEST_UNIT = 1e-4
"""Of a symbol that has not moved lately, in log return: it still has an interval."""

Floats = npt.NDArray[np.floating[Any]]
Offsets = npt.NDArray[np.float64]


def scale_errors(actual: Floats, forecast: Floats, volatility: Floats) -> Floats:
    """Divide errors, actual - forecast, by volatility, of one shape; NaN where any is."""
    return np.asarray((actual - forecast) / np.maximum(volatility, SMALLEST_UNIT))


def calibrate(scores: Floats, levels: Sequence[int] = LEVELS) -> Offsets:
    """Find where bounds must lie around a forecast, in units of volatility.

    Parameters
    ----------
    scores
        From `scale_errors`, any shape, pooled; what is not finite is left out.
    levels
        Percent inside, each above 0 and below 100.

    Returns
    -------
    numpy.ndarray
        float64 (n_levels, 2), lower (at most 0: the forecast itself is always inside) and upper (at least 0); NaN where
        there are too few scores for a level.

    Raises
    ------
    InputError
        A level is out of range.
    """
    known = np.asarray(scores)[np.isfinite(scores)]
    n, tails = len(known), np.array([_tail(level) for level in levels])
    # Rounded first: (n + 1) * 0.1 must not become the next rank by its last bit.
    low = np.floor(np.round((n + 1) * tails, 9)).astype(np.int64)
    ranks = np.stack([low, n + 1 - low], axis=1)
    enough = low >= 1
    offsets = np.full(ranks.shape, np.nan)
    if enough.any():
        found = np.sort(known)[ranks[enough] - 1].astype(
            np.float64
        )  # five times faster than np.partition at four ranks
        offsets[enough] = np.stack([np.minimum(found[:, 0], 0.0), np.maximum(found[:, 1], 0.0)], axis=1)
    return offsets


def bound(forecast: Floats, volatility: Floats, offsets: Offsets) -> tuple[Floats, Floats]:
    """Lay bounds around forecasts.

    Parameters
    ----------
    forecast, volatility
        Log returns and their unit, of one shape (...).
    offsets
        (n_levels, 2), from `calibrate`.

    Returns
    -------
    lower, upper
        float32 (n_levels, ...), log returns.
    """
    unit = np.maximum(volatility, SMALLEST_UNIT)
    column = (-1, *(1,) * np.ndim(forecast))
    lower, upper = (forecast + offsets[:, side].astype(np.float32).reshape(column) * unit for side in (0, 1))
    return lower.astype(np.float32, copy=False), upper.astype(np.float32, copy=False)


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
    scores = scale_errors(actual, forecast, volatility)
    lower = np.full((len(levels), *forecast.shape), np.nan, dtype=np.float32)
    upper = np.full_like(lower, np.nan)
    for row in range(FEWEST_SESSIONS, len(forecast)):
        offsets = calibrate(scores[max(row - CALIBRATION_SESSIONS, 0) : row], levels)
        lower[:, row], upper[:, row] = bound(forecast[row], volatility[row], offsets)
    return lower, upper


def _tail(level: int) -> float:
    """Share of the actual values that may lie beyond one bound."""
    if not 0 < level < 100:
        raise InputError("an interval's level must be above 0 and below 100 percent", value=level)
    return (1 - level / 100) / 2
