"""Linear regression by stochastic gradient descent, by hand in NumPy: `loss`, `sgd` and `predict` on any X and y.

As a model of windows it takes the newest session's gap, body and difference of the wicks, in units of the window's
volatility, and learns both targets one after the other: by absolute errors, each window weighing as its volatility
does, since squares follow the few wild days and erred by 8 % more than last close on the coins' open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from models.configured import Configured
from models.features import CLIP, FEATURES, compute_features, wrap_raw
from models.keras_runtime import keras, prepare_keras
from models.onnx_export import export_onnx
from models.protocol import TARGETS, Floats, OnProgress
from models.standardise import prepare_lesson

_SIGNS = {"gap": (0, 1.0), "body": (1, 1.0), "upper_wick": (2, 1.0), "lower_wick": (2, -1.0)}
_DIRECTIONS = np.zeros((len(FEATURES), 3), dtype=np.float32)
for _name, (_column, _sign) in _SIGNS.items():
    _DIRECTIONS[FEATURES.index(_name), _column] = _sign


Indices = npt.NDArray[np.int64]
Slopes = Callable[[Floats, Indices], Floats]
"""From the errors of some rows, and which rows these are, to the slopes of their losses."""


def predict(X: Floats, weights: Floats) -> Floats:
    """Forecast (n,) from X (n, n_features) and weights (n_features + 1,), the intercept last.

    Time O(n * n_features), memory O(n).
    """
    return np.asarray(X @ weights[:-1] + weights[-1])


def loss(X: Floats, y: Floats, weights: Floats) -> float:
    """Mean squared error of `predict` against y (n,). Time O(n * n_features), memory O(n)."""
    return float(np.square(predict(X, weights) - y).mean())


def sgd(
    X: Floats,
    y: Floats,
    *,
    epochs: int = 200,
    batch_size: int = 32,
    learning_rate: float = 0.05,
    seed: int = 7,
    importance: Floats | None = None,
) -> Floats:
    """Find the weights with the lowest `loss`, by steps down its gradient on small batches.

    Columns are standardised while it learns, so one learning rate suits all, and the weights given are those of X as
    it came. The rate falls to zero in a straight line, and with it the noise of the last steps. Each epoch goes through
    all rows once, in an order of its own; the same seed gives the same weights.

    Time O(epochs * n * n_features); memory O(n * n_features) for the standardised copy, and O(batch_size * n_features)
    for a step, whatever the number of epochs.

    Parameters
    ----------
    X, y
        (n, n_features) and (n,), finite.
    epochs
        Passes over the rows, 1 or more.
    batch_size
        Rows in a step, 1 or more.
    learning_rate
        Of the first step, above 0 and below 1.
    importance
        (n,), what each row weighs, 1 on average: with it the mean absolute error, so weighed, is brought down instead.

    Returns
    -------
    (n_features + 1,), float64, the intercept last.

    Raises
    ------
    ValueError
        If there is no row.
    """
    if not len(X):
        raise ValueError("a regression needs at least one row. Received: 0")
    centre, width = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    width = np.where(width > 0, width, 1.0)
    standardised = np.column_stack([(X - centre) / width, np.ones(len(X))])
    errors_to_slopes = _square_slopes if importance is None else _absolute_slopes(importance)
    chosen = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    weights = _descend(standardised, y, errors_to_slopes, rate=learning_rate, **chosen)
    slopes = weights[:-1] / width
    return np.append(slopes, weights[-1] - centre @ slopes)


def _square_slopes(errors: Floats, rows: Indices) -> Floats:
    """Slope of each row's squared error."""
    return 2 * errors


def _absolute_slopes(importance: Floats) -> Slopes:
    """Give the slope of each row's absolute error, times what the row weighs."""
    return lambda errors, rows: np.sign(errors) * importance[rows]


def _descend(X: Floats, y: Floats, slopes: Slopes, *, epochs: int, batch_size: int, rate: float, seed: int) -> Floats:
    """Weights (n_columns,) of X (n, n_columns), from zero."""
    order = np.random.default_rng(seed)
    weights = np.zeros(X.shape[1])
    starts = range(0, len(X), batch_size)
    total = epochs * len(starts)
    for epoch in range(epochs):
        shuffled = order.permutation(len(X))
        for step, start in enumerate(starts, start=epoch * len(starts)):
            rows = shuffled[start : start + batch_size]
            errors = X[rows] @ weights - y[rows]
            weights -= rate * (1 - step / total) * (slopes(errors, rows) @ X[rows]) / len(rows)
    return weights


@dataclass(frozen=True)
class LinearSGDHyperparameters:
    """What shapes a fit; the ranges are where a value is reasonable, not all of them tried.

    Attributes
    ----------
    lookback
        Raw sessions in a window, of which all but the newest only say how volatile it is, 6..10.
    epochs
        Passes over the windows, 1..10.
    batch_size
        Windows in a step, 32..4096.
    learning_rate
        Of the first step, 0.001..0.1.
    """

    lookback: int = 10
    epochs: int = 2
    batch_size: int = 512
    learning_rate: float = 0.01


class FittedLinearSGD:
    """Weights of both targets."""

    def __init__(self, weights: Floats, lookback: int, learning_curve: list[dict[str, float]]) -> None:
        self._weights, self._lookback, self.learning_curve = weights, lookback, learning_curve

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6), by NumPy."""
        features, units = compute_features(windows)
        X = _newest_directions(features)
        return np.clip(_predict_all(X, self._weights), -CLIP, CLIP) * units

    def save_onnx(self, path: Path) -> None:
        """Write the graph from raw windows to log returns, the regressions as one dense layer in it."""
        features = keras.Input((self._lookback - 1, len(FEATURES)))
        dense = keras.layers.Dense(len(TARGETS))
        core = keras.Model(features, dense(keras.layers.Flatten()(features[:, -1:, :])))
        dense.set_weights([_DIRECTIONS @ self._weights[:, :-1].T, self._weights[:, -1]])
        export_onnx(wrap_raw(core, self._lookback), path, lookback=self._lookback)

    def save_original(self, folder: Path) -> None:
        """Write linear_sgd.npz: the weights (2, 4), the intercepts last."""
        np.savez(folder / "linear_sgd.npz", weights=self._weights)


class LinearSGD(Configured[LinearSGDHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "linear_sgd"
    is_naive: ClassVar[bool] = False
    hyperparameters_type = LinearSGDHyperparameters

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedLinearSGD:
        """Fit one regression per target.

        Raises
        ------
        ValueError
            If there are fewer than 20 windows.
        """
        prepare_keras(seed=seed, threads=threads)
        lesson, chosen = prepare_lesson(windows, targets), self.hyperparameters
        X = _newest_directions(lesson.features)
        settings: dict[str, Any] = {"epochs": chosen.epochs, "batch_size": chosen.batch_size, "seed": seed}
        settings |= {"learning_rate": chosen.learning_rate, "importance": lesson.importance}
        typical = np.abs(lesson.standardised).mean(axis=0) + 1e-3  # so that one learning rate suits both targets
        fits = [sgd(X, y, **settings) for y in (lesson.standardised / typical).T]
        fits = [weights * scale for weights, scale in zip(fits, typical, strict=True)]
        curve = [{f"{target}_loss": loss(X, lesson.standardised[:, k], fits[k]) for k, target in enumerate(TARGETS)}]
        if on_progress is not None:
            on_progress(1, 1, curve[0])
        weights = np.stack(fits)
        weights[:, -1] -= lesson.excess_drift(lambda features: _predict_all(_newest_directions(features), weights))
        return FittedLinearSGD(weights, self.lookback, curve)


def _predict_all(X: Floats, weights: Floats) -> Floats:
    """Forecast (n, 2) by weights (2, 4)."""
    return np.stack([predict(X, each) for each in weights], axis=-1)


def _newest_directions(features: Floats) -> Floats:
    """(n, steps, 8) to the newest session's gap, body and difference of the wicks, float64 (n, 3)."""
    return np.asarray(features[:, -1] @ _DIRECTIONS, dtype=np.float64)


MODEL = LinearSGD
RANK = 10
