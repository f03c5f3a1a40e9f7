"""How good forecasts are, in NumPy: errors, their ratio to the last close's, R², and intervals by bootstrap.

Actual values and forecasts are log returns against the last close, of any one shape; all their elements are pooled. An
element where either is NaN is left out of both. Where nothing remains, or a ratio is over zero, the answer is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.protocol import Floats

Statistic = Callable[..., float]


def mean_absolute_error(actual: Floats, forecast: Floats) -> float:
    """Mean of |actual - forecast|."""
    actual, forecast = _pairs(actual, forecast)
    return float(np.abs(actual - forecast).mean()) if actual.size else float("nan")


def root_mean_squared_error(actual: Floats, forecast: Floats) -> float:
    """Root of the mean of (actual - forecast)²."""
    actual, forecast = _pairs(actual, forecast)
    return float(np.sqrt(np.square(actual - forecast).mean())) if actual.size else float("nan")


def relative_error(actual: Floats, forecast: Floats) -> float:
    """Mean absolute error over the last close's, whose forecast is zero: below 1 is better than the last close."""
    actual, forecast = _pairs(actual, forecast)
    return _ratio(float(np.abs(actual - forecast).sum()), float(np.abs(actual).sum()))


def r2(actual: Floats, forecast: Floats) -> float:
    """Coefficient of determination, 1 - sum (actual - forecast)² / sum (actual - mean(actual))², in -inf..1."""
    actual, forecast = _pairs(actual, forecast)
    if not actual.size:
        return float("nan")
    return 1.0 - _ratio(float(np.square(actual - forecast).sum()), float(np.square(actual - actual.mean()).sum()))


def bootstrap_interval(
    statistic: Statistic,
    sessions: npt.NDArray[Any],
    *arrays: Floats,
    level: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic when whole sessions are drawn with replacement.

    Symbols move together within a session, so rows drawn one by one would make the interval far too narrow.

    Parameters
    ----------
    statistic
        Takes the arrays, gives a float; a resample where it is NaN is left out.
    sessions
        (n,), the session of each row: any type that sorts.
    arrays
        Each (n, ...), resampled together.
    level
        Share of the resamples inside, between 0 and 1; the rest is cut off evenly at both ends.

    Returns
    -------
    Lower and upper bound, NaN where no resample has a value. With one session they are equal.

    Raises
    ------
    ValueError
        If an array has not one row per session entry, or level is not between 0 and 1.
    """
    _require_bootstrap_arguments(sessions, arrays, level)
    order = np.argsort(sessions, kind="stable")
    starts = np.unique(np.asarray(sessions)[order], return_index=True)[1]
    rows_of = np.split(order, starts[1:])
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples if len(order) else 0):
        rows = np.concatenate([rows_of[drawn] for drawn in generator.integers(len(rows_of), size=len(rows_of))])
        values.append(statistic(*(array[rows] for array in arrays)))
    return _interval(np.array(values), level)


def _interval(values: Floats, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def _require_bootstrap_arguments(sessions: npt.NDArray[Any], arrays: tuple[Floats, ...], level: float) -> None:
    lengths = [len(array) for array in arrays]
    if any(length != len(sessions) for length in lengths):
        raise ValueError(f"arrays must have {len(sessions)} rows, one per session entry. Received: {lengths}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1. Received: {level}")


def _pairs(actual: Floats, forecast: Floats) -> tuple[Floats, Floats]:
    """Both as float64, flat, without the elements where either is NaN."""
    actual, forecast = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if actual.shape != forecast.shape:
        raise ValueError(f"actual and forecast must have one shape. Received: {actual.shape} and {forecast.shape}")
    known = ~(np.isnan(actual) | np.isnan(forecast))
    return actual[known], forecast[known]


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
