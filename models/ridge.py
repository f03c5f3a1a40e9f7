"""scikit-learn's Ridge on what a window's sessions say of direction, one regression per target.

Of each session it takes the gap, the body and the difference of the wicks: three directions. How much of each reverts
depends on how volatile a symbol is and how often its price stays as it was, so every direction also enters multiplied
by both of these levels, and the levels and a constant enter alone: the median of a volatile symbol's return is not
zero. On real files of coins and of stocks that was worth more than any other feature tried (docs/models.md).

Squared loss follows the few wild days of real markets, so the fit is repeated with each window weighted by the inverse
of its residual (iteratively reweighted least squares; P. J. Green, J. R. Statist. Soc. B 46, 1984, p. 149), which
approaches absolute loss. Windows also weigh in proportion to their volatility, since errors are judged in log return.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.configured import Configured
from models.features import CLIP, FEATURES, compute_features, wrap_raw
from models.keras_runtime import keras, prepare_keras
from models.onnx_export import export_onnx
from models.protocol import Floats, OnProgress
from models.standardise import Lesson, prepare_lesson

# Features in rows, directions in columns: gap, body, upper wick less lower wick.
_DIRECTIONS = np.zeros((len(FEATURES), 3), dtype=np.float32)
_DIRECTIONS[[FEATURES.index(name) for name in ("gap", "body", "upper_wick")], [0, 1, 2]] = 1.0
_DIRECTIONS[FEATURES.index("lower_wick"), 2] = -1.0

# Features in rows, levels in columns: volatility, unchanged. A window's levels are the means over its sessions.
_LEVELS = np.zeros((len(FEATURES), 2), dtype=np.float32)
_LEVELS[[FEATURES.index(name) for name in ("volatility", "unchanged")], [0, 1]] = 1.0

_BLOCK = 4096
_SMALLEST_SHARE = 1e-9  # of the largest sum of squares: columns that say the same leave a little less than nothing


@dataclass(frozen=True)
class RidgeHyperparameters:
    """What shapes a fit; the ranges are where a value is reasonable, not all of them tried.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 6..10.
    alpha
        Penalty on the squared coefficients, of features in units of volatility, 1..1000.
    reweightings
        Fits in all; the first is plain least squares, 1..8.
    residual_floor
        Smallest residual that a weight is the inverse of, in mean absolute targets, 0.02..0.5.
    """

    lookback: int = 10
    alpha: float = 30.0
    reweightings: int = 6
    residual_floor: float = 0.03


class FittedRidge:
    """One regression per target, and how they were learned."""

    def __init__(self, regressions: list[Ridge], lookback: int, learning_curve: list[dict[str, float]]) -> None:
        self._regressions, self._lookback, self.learning_curve = regressions, lookback, learning_curve

    @property
    def core(self) -> Any:
        """The regressions as a Keras model of features (n, lookback - 1, 8), in units of volatility."""
        return _build_core(self._coefficients(), self._lookback)

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6), by scikit-learn."""
        features, units = compute_features(windows)
        return np.clip(_predict_all(self._regressions, _expand(features)), -CLIP, CLIP) * units

    def save_onnx(self, path: Path) -> None:
        """Write the graph from raw windows to log returns, the regressions as one dense layer in it."""
        export_onnx(wrap_raw(self.core, self._lookback), path, lookback=self._lookback)

    def save_original(self, folder: Path) -> None:
        """Write ridge.npz: all that a linear model is, as arrays. A joblib file is a pickle, and so a program."""
        np.savez(folder / "ridge.npz", coefficients=self._coefficients())

    def _coefficients(self) -> Floats:
        """(2, n_columns) in the order of `_expand`."""
        return np.stack([each.coef_ for each in self._regressions])


class RidgeModel(Configured[RidgeHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "ridge"
    is_naive: ClassVar[bool] = False
    hyperparameters_type = RidgeHyperparameters

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedRidge:
        """Fit one regression per target.

        Parameters
        ----------
        windows, targets
            (n, lookback, 6) and (n, 2), in time order.
        on_progress
            Called after each reweighting.

        Raises
        ------
        ValueError
            If there are fewer than 20 windows.
        """
        prepare_keras(seed=seed, threads=threads)
        return self.learn(prepare_lesson(windows, targets), on_progress=on_progress)

    def learn(self, lesson: Lesson, *, on_progress: OnProgress | None = None) -> FittedRidge:
        """Fit on features that are there already; by one thread, since for such small blocks a second only waits."""
        with threadpool_limits(1):
            X = _expand(lesson.features)
            regressions, curve = _learn(X, lesson, self.hyperparameters, on_progress)
            excess = lesson.excess_drift(lambda features: _predict_all(regressions, _expand(features)))
        for regression, drift in zip(regressions, excess, strict=True):
            regression.coef_[-1] -= drift
        return FittedRidge(regressions, self.lookback, curve)


def _learn(
    X: Floats, lesson: Lesson, chosen: RidgeHyperparameters, on_progress: OnProgress | None
) -> tuple[list[Ridge], list[dict[str, float]]]:
    """Fit and reweight; the curve holds each round's mean absolute error in units of volatility."""
    y, importance = lesson.standardised, lesson.importance[:, None]
    floors = chosen.residual_floor * np.abs(y).mean(axis=0) + 1e-6
    weights = np.broadcast_to(importance, y.shape)
    curve: list[dict[str, float]] = []
    for step in range(chosen.reweightings):
        regressions = [_fit_weighted(X, y[:, k], weights[:, k], chosen.alpha) for k in range(y.shape[1])]
        residuals = np.abs(y - _predict_all(regressions, X))
        weights = importance / np.maximum(residuals, floors)
        weights = weights / weights.mean(axis=0)
        curve.append({"loss": float((importance * residuals).mean())})
        if on_progress is not None:
            on_progress(step + 1, chosen.reweightings, curve[-1])
    return regressions, curve


def _fit_weighted(X: Floats, y: Floats, weights: Floats, alpha: float) -> Ridge:
    """Fit on as many rows as columns that have the sums of squares and products of all rows: the same coefficients.

    scikit-learn's own weighting copies X for each fit, and took seven eighths of the time.
    """
    gram, moments = _sum_products(X, y, weights)
    values, vectors = np.linalg.eigh(gram)
    roots = np.sqrt(np.maximum(values, _SMALLEST_SHARE * values[-1]))
    return Ridge(alpha, fit_intercept=False).fit(roots[:, None] * vectors.T, vectors.T @ moments / roots)


def _sum_products(X: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted X'X and X'y, by blocks that fit a cache: float32 within one, float64 over them."""
    gram, moments = np.zeros((X.shape[1], X.shape[1])), np.zeros(X.shape[1])
    for start in range(0, len(X), _BLOCK):
        rows = slice(start, start + _BLOCK)
        weighted = X[rows] * weights[rows, None]
        gram += weighted.T @ X[rows]
        moments += y[rows] @ weighted
    return gram, moments


def _predict_all(regressions: list[Ridge], X: Floats) -> Floats:
    """Forecast (n, 2), in the precision of X: scikit-learn's own predict would copy X to that of the coefficients."""
    return np.asarray(X @ np.stack([each.coef_ for each in regressions], axis=-1).astype(X.dtype))


def _expand(features: Floats) -> Floats:
    """(n, steps, 8) to columns (n, steps * 9 + 3): directions, these times each level, the levels, a constant."""
    directions = (features @ _DIRECTIONS).reshape(len(features), -1)
    levels = features.mean(axis=1) @ _LEVELS
    times = [directions * levels[:, [k]] for k in range(levels.shape[1])]
    return np.concatenate([directions, *times, levels, np.ones_like(levels[:, :1])], axis=1)


def _build_core(coefficients: Floats, lookback: int) -> Any:
    """Build what `_expand` and coefficients (2, n_columns) compute, of the layers that a graph can hold."""
    steps, n_levels = lookback - 1, _LEVELS.shape[1]
    features = keras.Input((steps, len(FEATURES)))
    flat = keras.layers.Flatten()(features)
    directions = _build_linear(flat, np.kron(np.eye(steps), _DIRECTIONS))
    levels = _build_linear(flat, np.tile(_LEVELS, (steps, 1)) / steps)
    times = [
        keras.layers.Multiply()([directions, _build_linear(levels, np.eye(n_levels)[:, [k]])]) for k in range(n_levels)
    ]
    columns = keras.layers.Concatenate()([directions, *times, levels])
    return keras.Model(features, _build_linear(columns, coefficients[:, :-1].T, bias=coefficients[:, -1]))


def _build_linear(inputs: Any, kernel: Floats, *, bias: Floats | None = None) -> Any:
    """Apply a dense layer with these weights, not to be learned."""
    layer = keras.layers.Dense(kernel.shape[1], use_bias=bias is not None, trainable=False)
    outputs = layer(inputs)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return outputs


MODEL = RidgeModel
RANK = 20
