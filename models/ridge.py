"""scikit-learn's Ridge on the directional features of a window, one regression per target.

Of each session it takes the gap, the body and the difference of the wicks, and no intercept: a mirrored window then has
the negated forecast, and the market's drift cannot be learned.

Squared loss follows the few wild days of real markets, so the fit is repeated with each window weighted by the inverse
of its residual (iteratively reweighted least squares; P. J. Green, J. R. Statist. Soc. B 46, 1984, p. 149), which
approaches absolute loss. Windows also weigh in proportion to their volatility, since errors are judged in log return.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.features import CLIP, FEATURES, compute_features, wrap_raw
from models.keras_runtime import keras, prepare_keras
from models.onnx_export import export_onnx
from models.protocol import TARGETS, Floats, OnProgress
from models.standardise import choose_shrinkage, count_training, standardise_targets

# Features in rows, directions in columns: gap, body, upper wick less lower wick.
_DIRECTIONS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [0, 0, 0], [0, 0, 0]], dtype=np.float32)


@dataclass(frozen=True)
class RidgeHyperparameters:
    """What shapes a fit; the ranges are where a value is reasonable, not all of them tried.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 6..12.
    alpha
        Penalty on the squared coefficients, of features in units of volatility, 1..1000.
    reweightings
        Fits in all; the first is plain least squares, 1..8.
    residual_floor
        Smallest residual that a weight is the inverse of, in mean absolute targets, 0.05..0.5.
    """

    lookback: int = 8
    alpha: float = 10.0
    reweightings: int = 5
    residual_floor: float = 0.1


class FittedRidge:
    """One regression per target, the shrinkage of each, and how they were learned."""

    def __init__(
        self, regressions: list[Ridge], shrinkage: Floats, lookback: int, learning_curve: list[dict[str, float]]
    ) -> None:
        self._regressions, self._shrinkage, self._lookback = regressions, shrinkage, lookback
        self.learning_curve = learning_curve

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6), by scikit-learn."""
        features, units = compute_features(windows)
        return np.clip(_predict_all(self._regressions, _directions(features)) * self._shrinkage, -CLIP, CLIP) * units

    def save_onnx(self, path: Path) -> None:
        """Write the graph from raw windows to log returns, the regressions as one dense layer in it."""
        features = keras.Input((self._lookback - 1, len(FEATURES)))
        dense = keras.layers.Dense(len(TARGETS), use_bias=False)
        core = keras.Model(features, dense(keras.layers.Flatten()(features)))
        dense.set_weights([_spread_directions(self._coefficients()).T * self._shrinkage])
        export_onnx(wrap_raw(core, self._lookback), path, lookback=self._lookback)

    def save_original(self, folder: Path) -> None:
        """Write ridge.npz: all that a linear model is, as arrays. A joblib file is a pickle, and so a program."""
        np.savez(folder / "ridge.npz", coefficients=self._coefficients(), shrinkage=self._shrinkage)

    def _coefficients(self) -> Floats:
        """(2, (lookback - 1) * 3), before shrinkage."""
        return np.stack([each.coef_ for each in self._regressions])


class RidgeModel:
    """The model before fit."""

    name: ClassVar[str] = "ridge"

    def __init__(self, hyperparameters: RidgeHyperparameters | None = None) -> None:
        self.hyperparameters = hyperparameters or RidgeHyperparameters()

    @property
    def lookback(self) -> int:
        """Raw sessions in a window."""
        return self.hyperparameters.lookback

    def fit(
        self, windows: Floats, targets: Floats, *, seed: int, threads: int, on_progress: OnProgress | None = None
    ) -> FittedRidge:
        """Learn from the oldest nine tenths, shrink by the newest tenth.

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
        n_train = count_training(len(windows))
        prepare_keras(seed=seed, threads=threads)
        features, units = compute_features(windows)
        X, y = _directions(features), standardise_targets(targets, units)
        with threadpool_limits(threads):
            regressions, curve = _learn(X[:n_train], y[:n_train], units[:n_train, 0], self.hyperparameters, on_progress)
            newest = _predict_all(regressions, X[n_train:]) * units[n_train:]
        return FittedRidge(regressions, choose_shrinkage(targets[n_train:], newest), self.lookback, curve)


def _learn(
    X: Floats, y: Floats, units: Floats, chosen: RidgeHyperparameters, on_progress: OnProgress | None
) -> tuple[list[Ridge], list[dict[str, float]]]:
    """Fit and reweight; the curve holds each round's mean absolute error in units of volatility."""
    floors = chosen.residual_floor * np.abs(y).mean(axis=0) + 1e-6
    importance = (units / units.mean())[:, None]
    weights = np.broadcast_to(importance, y.shape)
    curve: list[dict[str, float]] = []
    for step in range(chosen.reweightings):
        regressions = [
            Ridge(chosen.alpha, fit_intercept=False).fit(X, y[:, k], sample_weight=weights[:, k])
            for k in range(y.shape[1])
        ]
        residuals = np.abs(y - _predict_all(regressions, X))
        weights = importance / np.maximum(residuals, floors)
        weights = weights / weights.mean(axis=0)
        curve.append({"loss": float((importance * residuals).mean())})
        if on_progress is not None:
            on_progress(step + 1, chosen.reweightings, curve[-1])
    return regressions, curve


def _predict_all(regressions: list[Ridge], X: Floats) -> Floats:
    return np.stack([each.predict(X) for each in regressions], axis=-1)


def _directions(features: Floats) -> Floats:
    """(n, lookback - 1, 6) float32 to (n, (lookback - 1) * 3) float64, in which 300,000 squares still add up."""
    return np.asarray(features.reshape(-1, len(FEATURES)) @ _DIRECTIONS, dtype=np.float64).reshape(len(features), -1)


def _spread_directions(coefficients: Floats) -> Floats:
    """Coefficients of directions, (2, (lookback - 1) * 3), as those of all features, (2, (lookback - 1) * 6)."""
    return (coefficients.reshape(-1, _DIRECTIONS.shape[1]) @ _DIRECTIONS.T).reshape(len(coefficients), -1)
