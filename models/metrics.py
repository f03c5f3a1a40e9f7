"""How good forecasts are, in NumPy: errors, scaled errors, directions, quantiles, and intervals by bootstrap.

Actual values and forecasts have one shape, any one; their elements are pooled, in `rmsse` series by series. What is
NaN in any argument is left out of all of them. Where nothing remains, or a ratio is over zero, the answer is NaN.
Errors are actual - forecast. `relative_error` and `directional_accuracy` take log returns against the last close; the
scaled errors and `smape` take prices; the others take either, and answer in the unit that they were given.
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
    actual, forecast = _known(actual, forecast)
    return float(np.abs(actual - forecast).mean()) if actual.size else float("nan")


def root_mean_squared_error(actual: Floats, forecast: Floats) -> float:
    """Root of the mean of (actual - forecast)²."""
    actual, forecast = _known(actual, forecast)
    return float(np.sqrt(np.square(actual - forecast).mean())) if actual.size else float("nan")


def relative_error(actual: Floats, forecast: Floats) -> float:
    """Mean absolute error over the last close's, whose forecast is zero: below 1 is better than the last close."""
    actual, forecast = _known(actual, forecast)
    return _ratio(float(np.abs(actual - forecast).sum()), float(np.abs(actual).sum()))


def r2(actual: Floats, forecast: Floats) -> float:
    """Coefficient of determination, 1 - sum (actual - forecast)² / sum (actual - mean(actual))², in -inf..1."""
    actual, forecast = _known(actual, forecast)
    if not actual.size:
        return float("nan")
    return 1.0 - _ratio(float(np.square(actual - forecast).sum()), float(np.square(actual - actual.mean()).sum()))


def mase(actual: Floats, forecast: Floats, scale: Floats) -> float:
    """Mean absolute scaled error: the mean of |error| / scale, below 1 where better than one step of the history was.

    R. J. Hyndman and A. B. Koehler, Int. J. Forecasting 22, 2006, p. 679-688, section 3.

    Parameters
    ----------
    actual, forecast
        Prices, of one shape.
    scale
        `absolute_scale` of what each forecast was made from: their shape, or one that broadcasts to it. A forecast
        whose scale is zero or unknown (a price that never moved) is left out.
    """
    errors, scales = _scaled(actual, forecast, scale)
    return float((np.abs(errors) / scales).mean()) if errors.size else float("nan")


def rmsse(actual: Floats, forecast: Floats, scale: Floats) -> float:
    """Root mean squared scaled error of each series, then their mean.

    The M5 competition's measure with equal weights; S. Makridakis, E. Spiliotis and V. Assimakopoulos, Int. J.
    Forecasting 38, 2022, p. 1346-1364.

    Parameters
    ----------
    actual, forecast
        Prices (..., n_forecasts), a series a row; one axis is one series.
    scale
        `squared_scale` of what each forecast was made from, the square of a price; otherwise as in `mase`.
    """
    actual, forecast, scale = _same_shape(actual, forecast, np.broadcast_to(scale, np.shape(actual)))
    known = np.isfinite(actual - forecast) & (scale > 0)
    squares = np.divide(np.square(actual - forecast), scale, out=np.zeros_like(actual), where=known)
    counts = np.atleast_1d(known.sum(axis=-1))
    some = counts > 0
    roots = np.sqrt(np.atleast_1d(squares.sum(axis=-1))[some] / counts[some])
    return float(roots.mean()) if roots.size else float("nan")


def absolute_scale(history: Floats, season: int = 1) -> Floats:
    """Mean absolute difference of prices `season` sessions apart: what a seasonal naive forecast missed in the history.

    The scaling sample is all of the history that the forecast was made from, and nothing after it. A difference with a
    hole at either end is left out.

    Parameters
    ----------
    history
        Prices (..., n_sessions).
    season
        1 or more; 1 scales by the last close's errors.

    Returns
    -------
    (...,), NaN where no difference is known.
    """
    return _mean_of_last_axis(np.abs(_differences(history, season)))


def squared_scale(history: Floats, season: int = 1) -> Floats:
    """Mean squared difference of prices, otherwise as `absolute_scale`; its unit is the square of a price."""
    return _mean_of_last_axis(np.square(_differences(history, season)))


def smape(actual: Floats, forecast: Floats) -> float:
    """Symmetric mean absolute percentage error of prices, the mean of 200 |error| / (|actual| + |forecast|), 0..200.

    As in the M4 competition (S. Makridakis, E. Spiliotis and V. Assimakopoulos, Int. J. Forecasting 36, 2020, p. 54).
    Where both are zero there is no error.
    """
    actual, forecast = _known(actual, forecast)
    sizes = np.abs(actual) + np.abs(forecast)
    shares = np.divide(np.abs(actual - forecast), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return float(200.0 * shares.mean()) if shares.size else float("nan")


def directional_accuracy(actual: Floats, forecast: Floats) -> float:
    """Share of log returns whose sign was forecast, 0..1; 1/2 is a coin.

    An actual return of zero has no direction and is left out. A forecast of zero names no direction and counts half, so
    that the last close scores as a coin does and abstaining never pays.
    """
    actual, forecast = _known(actual, forecast)
    moved = actual != 0
    agreement = np.sign(actual[moved]) * np.sign(forecast[moved])
    return float((1.0 + agreement.mean()) / 2) if agreement.size else float("nan")


def pinball_loss(actual: Floats, forecast: Floats, quantile: float) -> float:
    """Mean of quantile * error where it is positive, (quantile - 1) * error where not; the true quantile has the least.

    R. Koenker and G. Bassett, Econometrica 46, 1978, p. 33-50. At 1/2 it is half the mean absolute error.

    Raises
    ------
    ValueError
        If quantile is not between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must be between 0 and 1. Received: {quantile}")
    actual, forecast = _known(actual, forecast)
    errors = actual - forecast
    return float(np.maximum(quantile * errors, (quantile - 1) * errors).mean()) if errors.size else float("nan")


def interval_coverage(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Share of actual values with lower <= actual <= upper, 0..1; an interval of 80 % should have 0.8.

    Raises
    ------
    ValueError
        If a lower bound lies above its upper one.
    """
    actual, lower, upper = _known_intervals(actual, lower, upper)
    return float(((lower <= actual) & (actual <= upper)).mean()) if actual.size else float("nan")


def interval_width(actual: Floats, lower: Floats, upper: Floats) -> float:
    """Mean of upper - lower over the same elements as `interval_coverage`: those whose actual value is known.

    Raises
    ------
    ValueError
        If a lower bound lies above its upper one.
    """
    actual, lower, upper = _known_intervals(actual, lower, upper)
    return float((upper - lower).mean()) if actual.size else float("nan")


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


def _known(*arrays: Floats) -> tuple[Floats, ...]:
    """All as float64, flat, without the elements where any is NaN."""
    same = _same_shape(*arrays)
    unknown = np.isnan(same[0])
    for array in same[1:]:
        unknown |= np.isnan(array)
    if not unknown.any():
        return tuple(array.ravel() for array in same)
    return tuple(array[~unknown] for array in same)


def _known_intervals(actual: Floats, lower: Floats, upper: Floats) -> tuple[Floats, ...]:
    actual, lower, upper = _known(actual, lower, upper)
    crossed = int((lower > upper).sum())
    if crossed:
        raise ValueError(f"lower must be at most upper. Received: {crossed} of {actual.size} intervals upside down")
    return actual, lower, upper


def _scaled(actual: Floats, forecast: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Errors and their scales, flat, where both are known and the scale is not zero."""
    actual, forecast, scale = _known(actual, forecast, np.broadcast_to(scale, np.shape(actual)))
    usable = scale > 0
    return (actual - forecast)[usable], scale[usable]


def _differences(history: Floats, season: int) -> Floats:
    if season < 1:
        raise ValueError(f"season must be 1 or more. Received: {season}")
    history = np.asarray(history, dtype=np.float64)
    return np.asarray(history[..., season:] - history[..., :-season])


def _mean_of_last_axis(values: Floats) -> Floats:
    """Mean of what is known on the last axis, NaN where nothing is; np.nanmean warns there."""
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1)
    return np.asarray(np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0))


def _same_shape(*arrays: Floats) -> tuple[Floats, ...]:
    same = tuple(np.asarray(array, dtype=np.float64) for array in arrays)
    shapes = [array.shape for array in same]
    if len(set(shapes)) > 1:
        raise ValueError(f"actual and forecast must have one shape. Received: {' and '.join(map(str, shapes))}")
    return same


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
