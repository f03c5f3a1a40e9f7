from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from models import metrics

DATA = Path(__file__).parents[1] / "data"
NAMES = ("mean_absolute_error", "root_mean_squared_error", "relative_error", "r2")
SCALES = {"mase": metrics.absolute_scale, "rmsse": metrics.squared_scale}


def read_answers(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def to_array(text: str) -> np.ndarray:
    """Numbers of one series, or of several with ; between them."""
    series = [[float(word) for word in one.split()] for one in text.split(";")]
    return np.array(series[0] if len(series) == 1 else series)


def to_answer(text: str) -> float:
    return float(Fraction(text)) if text != "nan" else float("nan")


@pytest.mark.parametrize("row", read_answers("metrics_answers.csv"), ids=lambda row: row["case"])
@pytest.mark.parametrize("name", NAMES)
def test_a_metric_gives_the_answer_worked_by_hand(row: dict[str, str], name: str) -> None:
    value = getattr(metrics, name)(to_array(row["actual"]), to_array(row["forecast"]))
    assert value == pytest.approx(float(row[name]), rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    "row", read_answers("metrics_answers_scaled.csv"), ids=lambda row: f"{row['metric']}: {row['case']}"
)
def test_errors_of_prices_and_directions_have_their_answers(row: dict[str, str]) -> None:
    arguments = [to_array(row["actual"]), to_array(row["forecast"])]
    if row["metric"] in SCALES:
        scale = SCALES[row["metric"]](to_array(row["history"]), int(row["season"]))
        arguments.append(np.expand_dims(scale, -1))
    value = getattr(metrics, row["metric"])(*arguments)
    digits = 1e-8 if "8 digits" in row["worked"] else 1e-12
    assert value == pytest.approx(to_answer(row["answer"]), rel=digits, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    "row", read_answers("metrics_answers_quantiles.csv"), ids=lambda row: f"{row['metric']}: {row['case']}"
)
def test_quantiles_and_intervals_have_their_answers(row: dict[str, str]) -> None:
    given = [to_array(row[name]) for name in ("actual", "forecast", "lower", "upper") if row[name]]
    quantile = [float(row["quantile"])] if row["quantile"] else []
    value = getattr(metrics, row["metric"])(*given, *quantile)
    assert value == pytest.approx(to_answer(row["answer"]), rel=1e-12, abs=1e-15, nan_ok=True)


def test_quantiles_and_errors_are_scikit_learn_s() -> None:
    from sklearn.metrics import mean_absolute_error, mean_pinball_loss

    actual, forecast = np.random.default_rng(4).normal(size=(2, 30, 40))
    assert metrics.mean_absolute_error(actual, forecast) == pytest.approx(
        mean_absolute_error(actual.ravel(), forecast.ravel()), rel=1e-12
    )
    for quantile in (0.025, 0.1, 0.5, 0.9):
        theirs = mean_pinball_loss(actual.ravel(), forecast.ravel(), alpha=quantile)
        assert metrics.pinball_loss(actual, forecast, quantile) == pytest.approx(theirs, rel=1e-12)


def test_a_scale_a_forecast_serves_each_forecast() -> None:
    """Windows of one series have each their own scaling sample."""
    actual, forecast = np.array([[4.0, 8.0]]), np.array([[5.0, 6.0]])
    assert metrics.mase(actual, forecast, np.array([[1.0, 4.0]])) == 0.75
    assert metrics.rmsse(actual, forecast, np.array([[1.0, 4.0]])) == 1.0


def test_scaled_and_percentage_errors_do_not_see_the_unit_of_the_price() -> None:
    history, actual, forecast = np.random.default_rng(1).lognormal(size=(3, 6, 20))
    for name, scale in SCALES.items():
        values = [
            getattr(metrics, name)(actual * unit, forecast * unit, scale(history * unit)[:, None])
            for unit in (1e-7, 1e5)
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert metrics.smape(actual * 1e-7, forecast * 1e-7) == pytest.approx(metrics.smape(actual, forecast), rel=1e-9)


def test_intervals_upside_down_and_impossible_quantiles_and_seasons_are_refused() -> None:
    for interval_metric in (metrics.interval_coverage, metrics.interval_width):
        with pytest.raises(ValueError, match=r"lower must be at most upper. Received: 1 of 2 intervals upside down"):
            interval_metric(np.zeros(2), np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    for quantile in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match=rf"quantile must be between 0 and 1. Received: {quantile}"):
            metrics.pinball_loss(np.zeros(2), np.zeros(2), quantile)
    with pytest.raises(ValueError, match=r"season must be 1 or more. Received: 0"):
        metrics.absolute_scale(np.zeros(3), 0)


def test_both_targets_are_pooled() -> None:
    actual, forecast = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 6.0]])
    assert metrics.mean_absolute_error(actual, forecast) == 0.5


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have one shape. Received: \(3, 1\) and \(3,\)"):
        metrics.r2(np.zeros((3, 1)), np.zeros(3))


def test_the_bootstrap_draws_whole_sessions() -> None:
    """Two sessions, all 0 and all 1: the mean of a resample is 0, 1/2 or 1. Rows drawn one by one stay near 1/2."""
    sessions = np.repeat([20180601, 20180602], 100)
    values = np.repeat([0.0, 1.0], 100)
    assert metrics.bootstrap_interval(np.mean, sessions, values) == (0.0, 1.0)


def test_the_bootstrap_keeps_rows_of_arrays_together_in_any_order() -> None:
    order = np.random.default_rng(0).permutation(200)
    sessions, values = np.repeat(np.arange(20), 10)[order], np.arange(200.0)[order]
    interval = metrics.bootstrap_interval(lambda a, b: float(np.abs(a - b).sum()), sessions, values, values)
    assert interval == (0.0, 0.0)


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    sessions = np.repeat(np.arange(40), 5)
    covered = 0
    for trial in range(100):
        values = np.repeat(generator.normal(size=40), 5)
        lower, upper = metrics.bootstrap_interval(np.mean, sessions, values, level=0.9, resamples=200, seed=trial)
        covered += lower <= 0.0 <= upper
    assert 80 <= covered <= 97


def test_one_session_has_no_width_and_no_rows_have_no_interval() -> None:
    assert metrics.bootstrap_interval(np.mean, np.zeros(3), np.array([1.0, 2.0, 3.0])) == (2.0, 2.0)
    assert np.isnan(metrics.bootstrap_interval(np.mean, np.zeros(0), np.zeros(0))).all()


def test_the_bootstrap_refuses_arrays_of_other_lengths_and_an_impossible_level() -> None:
    with pytest.raises(ValueError, match=r"must have 3 rows.*Received: \[2\]"):
        metrics.bootstrap_interval(np.mean, np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"level must be between 0 and 1. Received: 95"):
        metrics.bootstrap_interval(np.mean, np.zeros(3), np.zeros(3), level=95)
