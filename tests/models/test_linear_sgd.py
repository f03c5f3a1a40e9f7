from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from include.backtest.windows import Windows
from models.features import compute_features
from models.linear_sgd import LinearSGD, loss, predict, sgd


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Body mass index and the disease's progression, 442 patients."""
    X, y = load_diabetes(return_X_y=True)
    return X[:, [2]], y


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_diabetes_is_explained_as_its_benchmark_asks(seed: int, diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    """One feature; fitted without the last 20 patients and measured on them."""
    X, y = diabetes
    weights = sgd(X[:-20], y[:-20], seed=seed)
    assert r2_score(y[-20:], predict(X[-20:], weights)) >= 0.42


def test_it_comes_to_what_least_squares_gives(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    exact = LinearRegression().fit(X, y)
    weights = sgd(X, y, epochs=400)
    assert weights == pytest.approx([*exact.coef_, exact.intercept_], rel=0.02)
    assert loss(X, y, weights) == pytest.approx(np.square(y - exact.predict(X)).mean(), rel=1e-4)


def test_loss_and_forecast_worked_by_hand() -> None:
    X, y, weights = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([9.0, 20.0]), np.array([1.0, 3.0, 1.0])
    assert predict(X, weights).tolist() == [8.0, 16.0]
    assert loss(X, y, weights) == 8.5  # (1 + 16) / 2


def test_a_column_that_never_changes_is_left_to_the_intercept() -> None:
    X = np.column_stack([np.linspace(-1, 1, 64), np.full(64, 5.0)])
    weights = sgd(X, 3 * X[:, 0] + 2)
    assert predict(X, weights) == pytest.approx(3 * X[:, 0] + 2, abs=1e-6)
    assert weights[1] == 0.0


def test_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one row. Received: 0"):
        sgd(np.zeros((0, 1)), np.zeros(0))


def test_the_original_alone_gives_the_forecast(small_windows: Windows, tmp_path: Path) -> None:
    fitted = LinearSGD().fit(small_windows.windows, small_windows.targets, seed=7, threads=2)
    fitted.save_original(tmp_path)
    weights = np.load(tmp_path / "linear_sgd.npz", allow_pickle=False)["weights"]
    features, units = compute_features(small_windows.windows[:100])
    newest = features[:, -1]
    X = np.stack([newest[:, 0], newest[:, 1], newest[:, 2] - newest[:, 3]], axis=-1)
    expected = np.clip(X @ weights[:, :-1].T + weights[:, -1], -5, 5) * units
    assert np.abs(expected - fitted.predict(small_windows.windows[:100])).max() < 1e-6
    assert list(fitted.learning_curve[0]) == ["open_loss", "close_loss"]
