"""Whether the models learn: against the simulated exchange's own conditional mean, and with no signal."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from include.backtest.windows import Windows, build_windows, sample_windows
from include.market.exchange import SimulatedExchange, simulate_exchange
from include.schema import WINDOW_COLUMNS
from models.catalog import build_model
from models.metrics import bootstrap_interval, r2, relative_error

pytestmark = pytest.mark.slow

SESSIONS, CUT = 240, 180


def simulate(signal: float) -> tuple[SimulatedExchange, np.ndarray]:
    exchange = simulate_exchange(
        symbols=600, sessions=SESSIONS, calendar="24/7", seed=11, last_session=date(2018, 6, 30), signal=signal
    )
    return exchange, np.stack([getattr(exchange, name) for name in WINDOW_COLUMNS], axis=-1).astype(np.float32)


def forecast_held_out(name: str, cube: np.ndarray) -> tuple[Windows, np.ndarray]:
    """Fit on the sessions before the cut, forecast those from it on."""
    model = build_model(name)
    train = sample_windows(cube, lookback=model.lookback, origins=range(CUT - 1), min_observed=5, limit=90_000, seed=7)
    held = build_windows(cube, lookback=model.lookback, origins=range(CUT, SESSIONS - 1), min_observed=5)
    return held, model.fit(train.windows, train.targets, seed=7, threads=2).predict(held.windows)


@pytest.fixture(scope="module")
def with_signal() -> tuple[SimulatedExchange, np.ndarray]:
    return simulate(1.0)


@pytest.fixture(scope="module")
def without_signal() -> tuple[SimulatedExchange, np.ndarray]:
    return simulate(0.0)


@pytest.mark.parametrize(("name", "least"), [("ridge", 0.35), ("bigru", 0.8)])
def test_the_open_is_explained_nearly_as_well_as_it_can_be(
    name: str, least: float, with_signal: tuple[SimulatedExchange, np.ndarray]
) -> None:
    exchange, cube = with_signal
    held, forecast = forecast_held_out(name, cube)
    at = held.origin_index, held.symbol_index
    expected = exchange.conditional_mean[at][:, 0]
    actual = np.where(np.isnan(expected), np.nan, exchange.realised_returns()[at][:, 0])

    def share(actual: np.ndarray, forecast: np.ndarray, expected: np.ndarray) -> float:
        return r2(actual, forecast) / r2(actual, expected)

    lower, upper = bootstrap_interval(share, held.origin_index, actual, forecast[:, 0], expected, resamples=200)
    print(f"{name}: {share(actual, forecast[:, 0], expected):.3f} of the mean's R², 95 % in {lower:.3f}..{upper:.3f}")
    assert lower >= least
    assert upper < 1.1


@pytest.mark.parametrize("name", ["ridge", "bigru"])
def test_nothing_beats_the_last_close_where_there_is_no_signal(
    name: str, without_signal: tuple[SimulatedExchange, np.ndarray]
) -> None:
    held, forecast = forecast_held_out(name, without_signal[1])
    for target in (0, 1):
        actual = held.targets[:, target]
        _, upper = bootstrap_interval(relative_error, held.origin_index, actual, forecast[:, target], resamples=200)
        assert upper >= 1.0
        assert relative_error(actual, forecast[:, target]) < 1.01
