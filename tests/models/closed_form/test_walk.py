from __future__ import annotations

import warnings

import numpy as np
import pytest

from models import metrics
from models.closed_form import walk as walk_module
from models.closed_form.forecasters import closed_form_forecasters
from models.closed_form.panel import build_panel
from models.closed_form.walk import Walk, bound_by_past_errors, judge, walk_forward

ORIGINS, LOOKBACK = (12, 16, 17, 18, 27, 28), 12
FORECASTERS = closed_form_forecasters(lags=2)


@pytest.fixture
def walk(prices: np.ndarray) -> Walk:
    return walk_forward(prices, ORIGINS, lookback=LOOKBACK, forecasters=FORECASTERS)


def clean(prices: np.ndarray) -> np.ndarray:
    return np.where((prices > 0) & np.isfinite(prices), prices, np.nan)


def test_forecasts_and_actual_values_are_log_returns_from_the_window_s_newest_price(
    prices: np.ndarray, walk: Walk
) -> None:
    for window, origin in enumerate(ORIGINS):
        for row, series in enumerate(clean(prices)):
            seen = series[origin + 1 - LOOKBACK : origin + 1]
            last = seen[~np.isnan(seen)][-1] if not np.isnan(seen).all() else np.nan
            np.testing.assert_allclose(walk.last_close[row, window], last, rtol=1e-12)
            np.testing.assert_allclose(walk.actual[row, window], np.log(series[origin + 1] / last), atol=1e-12)
    np.testing.assert_array_equal(walk.forecasts["last_close"], np.where(np.isnan(walk.last_close), np.nan, 0.0))
    mean = FORECASTERS["mean"](build_panel(prices, ORIGINS, LOOKBACK))
    np.testing.assert_allclose(walk.forecasts["mean"], mean - np.log(walk.last_close), atol=1e-12)


def test_every_forecaster_answers_where_the_last_close_does(walk: Walk) -> None:
    for forecast in walk.forecasts.values():
        np.testing.assert_array_equal(np.isnan(forecast), np.isnan(walk.last_close))


def test_scales_are_those_of_the_metrics_on_the_window_alone(prices: np.ndarray, walk: Walk) -> None:
    for window, origin in enumerate(ORIGINS):
        seen = clean(prices)[:, origin + 1 - LOOKBACK : origin + 1]
        np.testing.assert_allclose(walk.absolute_scale[:, window], metrics.absolute_scale(seen), rtol=1e-12)
        np.testing.assert_allclose(walk.squared_scale[:, window], metrics.squared_scale(seen), rtol=1e-12)
        np.testing.assert_allclose(walk.unit[:, window], metrics.absolute_scale(np.log(seen)), rtol=1e-9)


def test_pieces_and_threads_change_nothing(prices: np.ndarray, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "_PIECE", 7)
    pieces = walk_forward(prices, ORIGINS, lookback=LOOKBACK, forecasters=FORECASTERS, threads=3)
    np.testing.assert_array_equal(pieces.actual, walk.actual)
    for name, forecast in pieces.forecasts.items():
        np.testing.assert_allclose(forecast, walk.forecasts[name], rtol=0, atol=1e-12)
    one, other = judge(pieces, threads=3), judge(walk)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-9)


def test_bounds_go_by_the_newest_thirty_windows() -> None:
    prices = np.exp(np.cumsum(np.random.default_rng(6).normal(0, 0.02, (5, 60)), axis=1))
    walked = walk_forward(prices, range(10, 59), lookback=10, forecasters={"mean": FORECASTERS["mean"]})
    forecast = walked.forecasts["mean"]
    lower, _ = bound_by_past_errors(walked, forecast, 0.8)
    newest = ((walked.actual - forecast) / walked.unit)[:, -31:-1]
    expected = forecast[:, -1] + np.quantile(newest, 0.1) * walked.unit[:, -1]
    np.testing.assert_allclose(lower[:, -1], expected, rtol=1e-12)


def test_bounds_are_quantiles_of_the_errors_known_at_the_origin(walk: Walk) -> None:
    """Origin 12 has no earlier error; 16's target is session 17, so origin 16 does not know it and 17 does."""
    forecast = walk.forecasts["mean"]
    lower, upper = bound_by_past_errors(walk, forecast, 0.5)
    assert np.isnan(lower[:, 0]).all()
    assert np.isnan(upper[:, 0]).all()
    for window, past in ((1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4])):
        errors = [
            (walk.actual[row, earlier] - forecast[row, earlier]) / walk.unit[row, earlier]
            for row in range(len(forecast))
            for earlier in past
            if walk.unit[row, earlier] > 0
        ]
        offsets = np.quantile([each for each in errors if not np.isnan(each)], [0.25, 0.75])
        for bound, offset in zip((lower, upper), offsets, strict=True):
            expected = forecast[:, window] + offset * walk.unit[:, window]
            np.testing.assert_allclose(bound[:, window], expected, rtol=1e-12, atol=1e-15)


def test_no_forecast_and_no_bound_sees_what_comes_after_its_origin(prices: np.ndarray, walk: Walk) -> None:
    rewritten = prices.copy()
    rewritten[:, 18:] = np.random.default_rng(3).lognormal(0, 9, rewritten[:, 18:].shape)
    other = walk_forward(rewritten, ORIGINS, lookback=LOOKBACK, forecasters=FORECASTERS)
    for name, forecast in walk.forecasts.items():
        np.testing.assert_array_equal(other.forecasts[name][:, :3], forecast[:, :3])
        for bound, same in zip(
            bound_by_past_errors(walk, forecast, 0.8),
            bound_by_past_errors(other, other.forecasts[name], 0.8),
            strict=True,
        ):
            np.testing.assert_array_equal(same[:, :3], bound[:, :3])


def test_judged_are_returns_prices_and_intervals(prices: np.ndarray, walk: Walk) -> None:
    judged = judge(walk, level=0.6)["drift"]
    forecast = walk.forecasts["drift"]
    actual = clean(prices)[:, [origin + 1 for origin in ORIGINS]]
    priced = walk.last_close * np.exp(forecast)
    lower, upper = bound_by_past_errors(walk, forecast, 0.6)
    assert judged == pytest.approx({
        "mean_absolute_error": metrics.mean_absolute_error(walk.actual, forecast),
        "relative_error": metrics.relative_error(walk.actual, forecast),
        "mase": metrics.mase(actual, priced, walk.absolute_scale),
        "rmsse": metrics.rmsse(actual, priced, walk.squared_scale),
        "smape": metrics.smape(actual, priced),
        "directional_accuracy": metrics.directional_accuracy(walk.actual, forecast),
        "pinball_loss": np.mean([
            metrics.pinball_loss(walk.actual, lower, 0.2), metrics.pinball_loss(walk.actual, upper, 0.8)
        ]),
        "interval_coverage": metrics.interval_coverage(walk.actual, lower, upper),
        "interval_width": metrics.interval_width(walk.actual, lower, upper),
    })  # fmt: skip


def test_the_drift_of_a_line_and_the_season_of_a_wave_are_forecast_without_error() -> None:
    sessions = np.arange(60)
    line, wave = np.exp(0.01 * sessions), np.exp(np.sin(2 * np.pi * sessions / 7))
    forecasters = closed_form_forecasters(season=7)
    for series, best in ((line, "drift"), (wave, "seasonal_naive")):
        walked = walk_forward(series[None], range(40, 59), lookback=30, forecasters=forecasters)
        errors = {name: judged["mean_absolute_error"] for name, judged in judge(walked).items()}
        assert errors[best] == pytest.approx(0, abs=1e-12)
        assert min(errors["last_close"], errors["mean"], errors["moving_average"]) > 0.005


def test_returns_that_follow_the_one_before_are_ridge_s_to_forecast() -> None:
    generator = np.random.default_rng(8)
    returns = np.zeros((300, 121))
    for at in range(1, 121):
        returns[:, at] = -0.6 * returns[:, at - 1] + generator.normal(0, 0.02, 300)
    walked = walk_forward(
        np.exp(np.cumsum(returns, axis=1)), range(113, 120), lookback=100, forecasters=closed_form_forecasters()
    )
    judged = judge(walked)
    best_there_is = (1 - 0.6**2) ** 0.5
    assert judged["ridge"]["relative_error"] == pytest.approx(best_there_is, abs=0.04)
    assert min(judged, key=lambda name: judged[name]["relative_error"]) == "ridge"
    assert judged["ridge"]["interval_coverage"] == pytest.approx(0.8, abs=0.03)


def test_series_without_a_price_warn_of_nothing_and_have_no_answer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judged = judge(walk_forward(np.full((3, 20), np.nan), [15, 18], lookback=10, forecasters=FORECASTERS))
    assert all(np.isnan(value) for each in judged.values() for value in each.values())


@pytest.mark.parametrize("origins", [[12, 29], [-1, 3], []])
def test_origins_without_a_session_after_are_refused(prices: np.ndarray, origins: list[int]) -> None:
    with pytest.raises(ValueError, match=r"origins must be 0..28, a session after each. Received: \["):
        walk_forward(prices, origins, lookback=LOOKBACK, forecasters=FORECASTERS)


@pytest.mark.parametrize("origins", [[12, 12], [13, 12]])
def test_origins_out_of_order_are_refused(prices: np.ndarray, origins: list[int]) -> None:
    with pytest.raises(ValueError, match=r"origins must increase. Received: \[1"):
        walk_forward(prices, origins, lookback=LOOKBACK, forecasters=FORECASTERS)


def test_an_impossible_level_is_refused(walk: Walk) -> None:
    with pytest.raises(ValueError, match=r"level must be between 0 and 1. Received: 80"):
        judge(walk, level=80)
