"""A small simulated exchange as windows, and the learned models fitted on it once for all tests of models."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from include.backtest.windows import Windows, build_windows
from include.market.exchange import SimulatedExchange, simulate_exchange
from include.schema import WINDOW_COLUMNS
from models.bigru import BiGRU, BiGRUHyperparameters
from models.catalog import build_model
from models.ensemble import Ensemble
from models.keras_fit import FittedKeras
from models.protocol import FittedModel
from models.ridge import FittedRidge, RidgeModel

LOOKBACK = 10


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
def fitted_bigru(small_bigru: BiGRU, small_windows: Windows) -> FittedKeras:
    return small_bigru.fit(small_windows.windows, small_windows.targets, seed=7, threads=2)


@pytest.fixture(scope="session")
def fitted_ridge(small_windows: Windows) -> FittedRidge:
    return RidgeModel().fit(small_windows.windows, small_windows.targets, seed=7, threads=2)


@pytest.fixture(scope="session")
def told_of_ensemble() -> list[tuple[int, int]]:
    """What the fit of `fitted_ensemble` tells of its progress."""
    return []


@pytest.fixture(scope="session")
def fitted_ensemble(small_windows: Windows, told_of_ensemble: list[tuple[int, int]]) -> FittedKeras:
    return Ensemble().fit(
        small_windows.windows[:3000],
        small_windows.targets[:3000],
        seed=7,
        threads=2,
        on_progress=lambda member, members, _: told_of_ensemble.append((member, members)),
    )


@pytest.fixture(scope="session", params=["linear_sgd", "ridge", "dense_window", "bigru", "ensemble"])
def fitted(request: pytest.FixtureRequest, small_windows: Windows) -> FittedModel:
    """Each learned model in turn."""
    if request.param in ("ridge", "bigru", "ensemble"):
        return request.getfixturevalue(f"fitted_{request.param}")
    return build_model(request.param).fit(small_windows.windows, small_windows.targets, seed=7, threads=2)
