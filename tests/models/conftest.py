"""A small simulated exchange as windows, and both learned models fitted on it once for all tests of models."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from include.market.exchange import SimulatedExchange, simulate_exchange
from include.schema import WINDOW_COLUMNS
from include.training.windows import Windows, build_windows
from models.bigru import BiGRU, BiGRUHyperparameters, FittedBiGRU
from models.ridge import FittedRidge, RidgeModel

LOOKBACK = 8


def make_cube(exchange: SimulatedExchange) -> np.ndarray:
    return np.stack([getattr(exchange, name) for name in WINDOW_COLUMNS], axis=-1).astype(np.float32)


@pytest.fixture(scope="session")
def small_windows() -> Windows:
    """About 10,000 windows of a dirty exchange: absent rows, zero volumes and missing market caps among them."""
    exchange = simulate_exchange(
        symbols=200, sessions=60, calendar="24/7", seed=3, last_session=date(2018, 6, 30), signal=1.0
    )
    return build_windows(make_cube(exchange), lookback=LOOKBACK, origins=range(7, 60), min_observed=5)


@pytest.fixture(scope="session")
def small_bigru() -> BiGRU:
    return BiGRU(BiGRUHyperparameters(lookback=LOOKBACK, hidden=8, head=8, batch_size=256, epochs=2))


@pytest.fixture(scope="session")
def fitted_bigru(small_bigru: BiGRU, small_windows: Windows) -> FittedBiGRU:
    return small_bigru.fit(small_windows.windows, small_windows.targets, seed=7, threads=2)


@pytest.fixture(scope="session")
def fitted_ridge(small_windows: Windows) -> FittedRidge:
    return RidgeModel().fit(small_windows.windows, small_windows.targets, seed=7, threads=2)


@pytest.fixture(scope="session", params=["ridge", "bigru"])
def fitted(request: pytest.FixtureRequest) -> FittedRidge | FittedBiGRU:
    """Each learned model in turn."""
    return request.getfixturevalue(f"fitted_{request.param}")
