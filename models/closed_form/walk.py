"""Closed-form forecasters over rolling origins, and how good they were: the naive half of a backtest.

Series are taken in pieces that fit a core's cache, each by one thread; NumPy leaves the interpreter free meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models import metrics
from models.closed_form.forecasters import Forecaster
from models.closed_form.panel import Panel, build_panel
from models.protocol import Floats

_CALIBRATION_WINDOWS = 30  # all would cost the square of the walk's length, and remember regimes long gone
_PIECE = 1000  # series; of 127 sessions they take 1 MB


@dataclass(frozen=True)
class Walk:
    """What came and what was forecast, each (n_series, n_windows), float64.

    Attributes
    ----------
    origins
        (n_windows,), position of each window's last session; the session after it was forecast.
    last_close
        Newest price in the window, NaN where it has none.
    actual
        log(price of the session after / last close), NaN where either is a hole.
    forecasts
        The same as forecast, by forecaster.
    unit
        Mean absolute log return inside the window.
    absolute_scale, squared_scale
        `metrics.absolute_scale` and `metrics.squared_scale` of the window's prices.
    """

    origins: tuple[int, ...]
    last_close: Floats
    actual: Floats
    forecasts: Mapping[str, Floats]
    unit: Floats
    absolute_scale: Floats
    squared_scale: Floats


def walk_forward(
    prices: Floats,
    origins: Sequence[int],
    *,
    lookback: int,
    forecasters: Mapping[str, Forecaster],
    threads: int = 1,
) -> Walk:
    """Forecast the session after each origin from the `lookback` sessions up to it.

    Parameters
    ----------
    prices
        (n_series, n_sessions). What is NaN, infinite, zero or negative is a hole.
    origins
        Positions, increasing, each with a session after it.
    forecasters
        By name; `closed_form_forecasters` gives the eight.
    threads
        Pieces that are worked on at once.

    Raises
    ------
    ValueError
        If lookback is below 1, or an origin is out of range or out of order.
    """
    _require_origins(origins, n_sessions=np.shape(prices)[1])
    walk = _allocate(len(prices), origins, forecasters)

    def work(start: int) -> None:
        rows = slice(start, start + _PIECE)
        _fill(walk, rows, build_panel(prices[rows], origins, lookback), forecasters)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(0, len(prices), _PIECE)))
    return walk


def judge(walk: Walk, *, level: float = 0.8, threads: int = 1) -> dict[str, dict[str, float]]:
    """Work out every metric of every forecaster.

    Parameters
    ----------
    level
        Of the intervals, whose bounds are quantiles of the forecaster's errors at earlier windows.

    Returns
    -------
    By forecaster and metric. `pinball_loss` is the mean of both bounds' losses, `interval_width` is in log return; both
    and `interval_coverage` are of the windows that have earlier ones.
    """
    with ThreadPoolExecutor(threads) as pool:
        judged = pool.map(lambda forecast: _judge_one(walk, forecast, level), walk.forecasts.values())
        return dict(zip(walk.forecasts, judged, strict=True))


def bound_by_past_errors(walk: Walk, forecast: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper bound of each log return, (n_series, n_windows), from errors that were known at its origin.

    Errors of all series are pooled, each in its window's unit, and their quantiles laid around the forecast in this
    window's unit: split conformal prediction, calibrated on the newest 30 such windows. NaN before the first error is
    known.

    Raises
    ------
    ValueError
        If level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1. Received: {level}")
    lower, upper = np.full_like(forecast, np.nan), np.full_like(forecast, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (walk.actual - forecast) / walk.unit  # a price that never moved has no unit
    for window, origin in enumerate(walk.origins):
        # An origin before this one had its session after it at the latest today.
        first_unknown = bisect_left(walk.origins, origin)
        past = scaled[:, max(first_unknown - _CALIBRATION_WINDOWS, 0) : first_unknown]
        past = past[np.isfinite(past)]
        if past.size:
            offsets = np.quantile(past, [(1 - level) / 2, (1 + level) / 2])
            lower[:, window] = forecast[:, window] + offsets[0] * walk.unit[:, window]
            upper[:, window] = forecast[:, window] + offsets[1] * walk.unit[:, window]
    return lower, upper


def _judge_one(walk: Walk, forecast: Floats, level: float) -> dict[str, float]:
    actual, prices = walk.last_close * np.exp(walk.actual), walk.last_close * np.exp(forecast)
    lower, upper = bound_by_past_errors(walk, forecast, level)
    bounds = ((lower, (1 - level) / 2), (upper, (1 + level) / 2))
    return {
        "mean_absolute_error": metrics.mean_absolute_error(walk.actual, forecast),
        "relative_error": metrics.relative_error(walk.actual, forecast),
        "mase": metrics.mase(actual, prices, walk.absolute_scale),
        "rmsse": metrics.rmsse(actual, prices, walk.squared_scale),
        "smape": metrics.smape(actual, prices),
        "directional_accuracy": metrics.directional_accuracy(walk.actual, forecast),
        "pinball_loss": sum(metrics.pinball_loss(walk.actual, bound, at) for bound, at in bounds) / 2,
        "interval_coverage": metrics.interval_coverage(walk.actual, lower, upper),
        "interval_width": metrics.interval_width(walk.actual, lower, upper),
    }


def _allocate(n_series: int, origins: Sequence[int], forecasters: Mapping[str, Forecaster]) -> Walk:
    def empty() -> Floats:
        return np.empty((n_series, len(origins)))

    forecasts = {name: empty() for name in forecasters}
    return Walk(tuple(origins), empty(), empty(), forecasts, empty(), empty(), empty())


def _fill(walk: Walk, rows: slice, panel: Panel, forecasters: Mapping[str, Forecaster]) -> None:
    """Fill the rows of a walk."""
    walk.last_close[rows] = np.exp(panel.last)
    known, values = panel.known[:, panel.origins + 1], panel.values[:, panel.origins + 1]
    walk.actual[rows] = np.where(known, values - panel.last, np.nan)
    for name, forecast in forecasters.items():
        walk.forecasts[name][rows] = forecast(panel) - panel.last
    steps = np.diff(panel.prices, axis=1)
    walk.unit[rows] = panel.mean_over_pairs(np.abs(np.diff(panel.values, axis=1)))
    walk.absolute_scale[rows] = panel.mean_over_pairs(np.abs(steps))
    walk.squared_scale[rows] = panel.mean_over_pairs(np.square(steps))


def _require_origins(origins: Sequence[int], n_sessions: int) -> None:
    if list(origins) != sorted(set(origins)):
        raise ValueError(f"origins must increase. Received: {list(origins)}")
    if len(origins) == 0 or origins[0] < 0 or origins[-1] > n_sessions - 2:
        raise ValueError(f"origins must be 0..{n_sessions - 2}, a session after each. Received: {list(origins)}")
