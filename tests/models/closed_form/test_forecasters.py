from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.closed_form.forecasters import closed_form_forecasters
from models.closed_form.panel import build_panel
from tests.models.closed_form.loops import LOOPS, PARAMETERS

ORIGINS = (0, 3, 11, 19, 20, 27, 29)
FORECASTERS = closed_form_forecasters(**PARAMETERS)


def to_history(prices: np.ndarray) -> list[float | None]:
    return [float(price) if np.isfinite(price) and price > 0 else None for price in prices]


def test_there_are_eight() -> None:
    assert set(FORECASTERS) == set(LOOPS)
    assert len(FORECASTERS) == 8


@pytest.mark.parametrize("lookback", [1, 2, 6, 12, 30, 99])
@pytest.mark.parametrize("name", LOOPS)
def test_each_series_and_window_is_forecast_as_a_plain_loop_does(prices: np.ndarray, name: str, lookback: int) -> None:
    forecast = FORECASTERS[name](build_panel(prices, ORIGINS, lookback))
    expected = np.full((len(prices), len(ORIGINS)), np.nan)
    for row, series in enumerate(prices):
        for window, origin in enumerate(ORIGINS):
            history = to_history(series[max(0, origin + 1 - lookback) : origin + 1])
            if any(price is not None for price in history):
                expected[row, window] = LOOPS[name](history)
    np.testing.assert_allclose(forecast, expected, rtol=1e-9, atol=1e-9)
    assert np.isnan(expected).any()
    assert np.isfinite(expected).any()


@pytest.mark.parametrize("name", LOOPS)
def test_what_lies_outside_the_window_changes_no_bit(prices: np.ndarray, name: str) -> None:
    origins, lookback = (14, 16), 8
    forecast = FORECASTERS[name](build_panel(prices, origins, lookback))
    rewritten = prices.copy()
    noise = np.random.default_rng(2).lognormal(0, 9, rewritten.shape)
    noise[:, ::3] = np.nan
    rewritten[:, :7], rewritten[:, 17:] = noise[:, :7], noise[:, 17:]
    np.testing.assert_array_equal(FORECASTERS[name](build_panel(rewritten, origins, lookback)), forecast)


@pytest.mark.parametrize("name", LOOPS)
def test_the_unit_of_the_price_is_not_seen(prices: np.ndarray, name: str) -> None:
    one = FORECASTERS[name](build_panel(prices, ORIGINS, 12))
    other = FORECASTERS[name](build_panel(prices * 1e-5, ORIGINS, 12))
    np.testing.assert_allclose(other, one + np.log(1e-5), rtol=0, atol=1e-9)


def test_exponential_smoothing_is_pandas_ewm(prices: np.ndarray) -> None:
    logs = pd.DataFrame(np.log(np.where(prices > 0, prices, np.nan))).replace(np.inf, np.nan).T
    theirs = logs.ewm(alpha=0.3, adjust=True, ignore_na=False).mean().to_numpy()[list(ORIGINS)].T
    smoothing = closed_form_forecasters(alpha=0.3)["exponential_smoothing"]
    np.testing.assert_allclose(smoothing(build_panel(prices, ORIGINS, 30)), theirs, rtol=1e-12, atol=1e-12)


def test_smoothing_that_forgets_at_once_is_the_last_close(prices: np.ndarray) -> None:
    panel = build_panel(prices, ORIGINS, 12)
    np.testing.assert_allclose(closed_form_forecasters(alpha=1.0)["exponential_smoothing"](panel), panel.last)


def test_one_textbook_series_by_hand() -> None:
    """Log prices 1, 2, 4, 3; season 3, span 2, alpha 1/2."""
    panel = build_panel(np.exp([[1.0, 2.0, 4.0, 3.0]]), [3], 4)
    forecasters = closed_form_forecasters(season=3, span=2, alpha=0.5, lags=1, penalty=0.5)
    given = {name: float(forecaster(panel)[0, 0]) for name, forecaster in forecasters.items()}
    assert given == pytest.approx({
        "last_close": 3.0,
        "seasonal_naive": 2.0,
        "drift": 3 + 2 / 3,
        "mean": 2.5,
        "median": 2.5,
        "moving_average": 3.5,
        "exponential_smoothing": (3 + 4 / 2 + 2 / 4 + 1 / 8) / (1 + 1 / 2 + 1 / 4 + 1 / 8),
        # returns 1, 2, -1: lag times target 1*2 - 2*1 = 0
        "ridge": 3.0,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"season": 0}, "season must be 1 session or more. Received: 0"),
        ({"span": 0}, "span must be 1 session or more. Received: 0"),
        ({"alpha": 0.0}, "alpha must be above 0 and at most 1. Received: 0.0"),
        ({"lags": 0}, "lags must be 1 or more and penalty positive. Received: 0 and 10.0"),
        ({"penalty": 0.0}, "lags must be 1 or more and penalty positive. Received: 5 and 0.0"),
    ],
)
def test_impossible_parameters_are_refused(prices: np.ndarray, given: dict[str, float], message: str) -> None:
    panel = build_panel(prices, ORIGINS, 12)
    with pytest.raises(ValueError, match=message):
        [forecaster(panel) for forecaster in closed_form_forecasters(**given).values()]


def test_lags_longer_than_the_panel_leave_the_last_close(prices: np.ndarray) -> None:
    panel = build_panel(prices[:, :4], [3], 4)
    np.testing.assert_array_equal(closed_form_forecasters(lags=9)["ridge"](panel), panel.last)
