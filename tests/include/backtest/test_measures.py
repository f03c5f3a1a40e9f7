"""Every figure of the table is the one that `models.metrics`, with its answer files, gives for the same cells."""

from __future__ import annotations

import numpy as np
import pytest

from include.backtest.heldout import hold_out
from include.backtest.intervals import LEVELS, walk_intervals
from include.backtest.measures import METRICS, Row, Yardsticks, build_yardsticks, measure_models
from models import metrics
from tests.include.backtest.cubes import build_cube, walk_bars


@pytest.fixture(scope="module")
def measured() -> tuple[Yardsticks, np.ndarray, list[Row]]:
    values = walk_bars(80, 60, gaps=0.03)
    values[:, 7, :4] = 5.0  # a price that never moves has no scale
    values[:, 8, 5] = np.nan
    cube = build_cube(values)
    yardsticks = build_yardsticks(cube, hold_out(cube, 40), spans=(7, 30, 400))
    rng = np.random.default_rng(1)
    forecast = 0.3 * yardsticks.held.actual + rng.normal(0, 0.01, yardsticks.held.actual.shape)
    forecast[5:9, 11] = np.nan  # a graph that says nothing
    forecast[10, :20] = 0.0
    return yardsticks, forecast.astype(np.float32), measure_models(yardsticks, {"m": forecast.astype(np.float32)})


def select(yardsticks: Yardsticks, row: Row) -> np.ndarray:
    """bool (n_sessions, n_symbols): the cells of a row of the table."""
    cohort = next(each for each in yardsticks.cohorts if each.name == row["cohort"])
    codes = np.full(yardsticks.held.cells.shape, -1)
    codes[yardsticks.held.cells] = cohort.codes
    first = 0 if row["sessions"] == "all" else len(codes) - int(row["sessions"].removeprefix("last "))
    return (codes == cohort.labels.index(row["group"])) & (np.arange(len(codes)) >= first)[:, None]


def expect(yardsticks: Yardsticks, forecast: np.ndarray, row: Row) -> dict[str, float]:
    """Give every metric of a row by the functions of `models.metrics`."""
    axis, held = ("open", "close").index(row["target"]), yardsticks.held
    blank = np.where(select(yardsticks, row), 0.0, np.nan)
    y = held.actual[..., axis].astype(np.float64) + blank
    said = forecast[..., axis].astype(np.float64) + blank
    laid = [np.full(held.cells.shape, np.nan) for _ in range(3)]
    for array, found in zip(
        laid,
        (yardsticks.last_close, yardsticks.absolute_scale[:, axis], yardsticks.squared_scale[:, axis]),
        strict=True,
    ):
        array[held.cells] = found
    last_close, absolute, squared = laid
    price, forecast_price = last_close * np.exp(y), last_close * np.exp(said)
    lower, upper = walk_intervals(held.actual[..., axis], forecast[..., axis], yardsticks.volatility[..., axis])
    tails = [((1 - level / 100) / 2, k) for k, level in enumerate(LEVELS)]
    pinball = [metrics.pinball_loss(y, lower[k], tail) for tail, k in tails]
    pinball += [metrics.pinball_loss(y, upper[k], 1 - tail) for tail, k in tails]
    expected = {
        "mean_absolute_error": metrics.mean_absolute_error(y, said),
        "relative_error": metrics.relative_error(y, said),
        "mase": metrics.mase(price, forecast_price, absolute),
        "rmsse": metrics.rmsse(price.T, forecast_price.T, squared.T),
        "smape": metrics.smape(price, forecast_price),
        "directional_accuracy": metrics.directional_accuracy(y, said),
        "bias": float(np.mean((y - said)[np.isfinite(y - said)])),
        "pinball_loss": float(np.mean(pinball)),
    }
    for k, level in enumerate(LEVELS):
        inside = [np.where(np.isfinite(said), each[k], np.nan) for each in (lower, upper)]
        expected[f"coverage_{level}"] = metrics.interval_coverage(y, *inside)
        expected[f"width_{level}"] = metrics.interval_width(y, *inside)
    return expected


def test_every_figure_is_that_of_the_metrics(measured) -> None:
    yardsticks, forecast, rows = measured
    for row in rows:
        expected = expect(yardsticks, forecast, row)
        found = {name: row[name] for name in METRICS}
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-13, nan_ok=True), row
        known = np.isfinite(forecast[..., 0]) & select(yardsticks, row)
        assert row["cells"] == known.sum()


def test_every_group_and_span_is_there(measured) -> None:
    _, _, rows = measured
    assert {row["sessions"] for row in rows} == {"all", "last 7", "last 30"}
    wild = [row for row in rows if row["cohort"] == "volatility decile" and row["sessions"] == "all"]
    assert len(wild) == 2 * 10
    assert {row["group"] for row in rows if row["cohort"] == "age in sessions"} == {"30 to 89"}


def test_scales_are_of_the_prices_up_to_the_origin() -> None:
    values = walk_bars(60, 3)
    values[:, 0, 3] = 100 + np.arange(60)  # closes rise by 1 a session
    values[40:, 0, 3] = 5000.0  # what comes after the origin at 39 must not count
    cube = build_cube(values)
    yardsticks = build_yardsticks(cube, hold_out(cube, 40, 41))
    assert yardsticks.absolute_scale[0, 1] == pytest.approx(1)
    assert yardsticks.squared_scale[0, 1] == pytest.approx(1)
    assert yardsticks.last_close[0] == 139


def test_bars_without_any_market_cap_are_measured_and_have_no_group_of_it() -> None:
    values = walk_bars(30, 10)
    values[..., 5] = np.nan
    cube = build_cube(values)
    yardsticks = build_yardsticks(cube, hold_out(cube, 20))
    rows = measure_models(yardsticks, {"m": np.zeros_like(yardsticks.held.actual)})
    assert {row["cohort"] for row in rows} == {"all", "volatility decile", "age in sessions"}
    assert all(row["relative_error"] == 1.0 for row in rows)
