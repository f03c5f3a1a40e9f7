"""Eight closed-form forecasters. Each takes a panel and gives log prices (n_series, n_windows) of the session after.

All answer wherever the window has one price: where a rule has nothing to go by it falls back to the newest price, so
that errors are compared on the same windows. R. J. Hyndman and G. Athanasopoulos, Forecasting: Principles and Practice,
3rd edition, 2021, sections 5.2 and 8.1, is the source where none is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from models.closed_form.lag_ridge import forecast_lag_ridge
from models.closed_form.panel import Panel
from models.protocol import Floats

Forecaster = Callable[[Panel], Floats]


def forecast_last_close(panel: Panel) -> Floats:
    """The newest price."""
    return panel.last


def forecast_seasonal_naive(panel: Panel, *, season: int) -> Floats:
    """The price a season before the forecast session; where that is a hole, a season earlier, and so on.

    Parameters
    ----------
    season
        Sessions: 5 for a week of an exchange, 7 for one of a 24/7 market.
    """
    _require_sessions("season", season)
    positions = panel.newest_known(panel.origins + 1 - season, panel.starts, step=season)
    return panel.or_last(panel.at(positions))


def forecast_drift(panel: Panel) -> Floats:
    """The line through the oldest and the newest price of the window, drawn on to the forecast session."""
    last_at, first_at = panel.last_at, _oldest_known(panel)
    apart = np.maximum(last_at - first_at, 1)  # where there is one price, its rise is zero anyhow
    slope = (panel.last - panel.at(first_at)) / apart
    return np.asarray(panel.last + slope * (panel.origins + 1 - last_at))


def forecast_mean(panel: Panel) -> Floats:
    """The mean of the window's known log prices."""
    return panel.weighted_mean(panel.in_window())


def forecast_median(panel: Panel) -> Floats:
    """The median of the window's known log prices, of an even number the mean of the middle two."""
    holes_last = np.where(panel.known, panel.values, np.inf)
    forecasts = [
        _median(holes_last[:, start : origin + 1]) for start, origin in zip(panel.starts, panel.origins, strict=True)
    ]
    return np.stack(forecasts, axis=1)


def forecast_moving_average(panel: Panel, *, span: int) -> Floats:
    """The mean of the known log prices among the newest `span` sessions."""
    _require_sessions("span", span)
    return panel.or_last(panel.weighted_mean(panel.in_window(span)))


def forecast_exponential_smoothing(panel: Panel, *, alpha: float) -> Floats:
    """The mean of the window with weights (1 - alpha)^age, normalised over what is known.

    Simple smoothing whose start is not a guess: the level is what the recursion tends to when nothing came before the
    window. A hole ages the level and adds nothing to it, as in pandas' ewm(adjust=True, ignore_na=False).

    Parameters
    ----------
    alpha
        Weight of the newest price, above 0 and at most 1.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must be above 0 and at most 1. Received: {alpha}")
    weights = panel.in_window() * (1.0 - alpha) ** np.maximum(panel.ages, 0)
    return panel.or_last(panel.weighted_mean(weights))


def closed_form_forecasters(
    *, season: int = 7, span: int = 5, alpha: float = 0.5, lags: int = 5, penalty: float = 10.0
) -> Mapping[str, Forecaster]:
    """Name all eight with their parameters, those of the forecasters above and of `forecast_lag_ridge`."""
    return {
        "last_close": forecast_last_close,
        "seasonal_naive": partial(forecast_seasonal_naive, season=season),
        "drift": forecast_drift,
        "mean": forecast_mean,
        "median": forecast_median,
        "moving_average": partial(forecast_moving_average, span=span),
        "exponential_smoothing": partial(forecast_exponential_smoothing, alpha=alpha),
        "ridge": partial(forecast_lag_ridge, lags=lags, penalty=penalty),
    }


def _require_sessions(name: str, sessions: int) -> None:
    if sessions < 1:
        raise ValueError(f"{name} must be 1 session or more. Received: {sessions}")


def _oldest_known(panel: Panel) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Position of the oldest price in each window, (n_series, n_windows), -1 where there is none."""
    firsts = np.where(panel.known, np.arange(panel.known.shape[1]), panel.known.shape[1])
    found = np.stack(
        [firsts[:, s : o + 1].min(axis=1) for s, o in zip(panel.starts, panel.origins, strict=True)], axis=1
    )
    return np.where(panel.last_at < 0, -1, found)


def _median(holes_last: Floats) -> Floats:
    """Median of the finite values of each row, (n_series,), NaN where there are none."""
    ordered = np.sort(holes_last, axis=1)
    counts = np.isfinite(ordered).sum(axis=1)
    middle = np.maximum(np.stack([(counts - 1) // 2, counts // 2], axis=1), 0)
    return np.where(counts > 0, np.take_along_axis(ordered, middle, axis=1).mean(axis=1), np.nan)
