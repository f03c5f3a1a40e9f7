"""Scale-free features of a raw window, computed inside the graph: the same layers learn, predict and become ONNX.

Everything is a log ratio of two prices of the same window, so a 1e-7 coin and a 1e5 coin look alike and float32 loses
nothing (the ratio is exact to 6e-8; a difference of two logs near -18 would not be). Ratios are then measured in units
of the window's own volatility and clipped, so no jump, gap or absurd price can make an output that is not finite.
A session without a row gives zeros and a flag. The market cap is not read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.keras_runtime import keras
from models.protocol import INPUT_NAME, WINDOW_COLUMNS, Floats

FEATURES = ("gap", "body", "upper_wick", "lower_wick", "volume_change", "absent")
"""Last axis of the features, (n, lookback - 1, 6): the first session only gives the second its previous close."""

_MIRRORED = ("gap", "body", "lower_wick", "upper_wick", "volume_change", "absent")

CLIP = 5.0
"""Features, and forecasts, beyond so many units of volatility count as this many."""

SCALE_FLOOR, SCALE_CEILING = 1e-4, 2.0
"""Bounds of the volatility unit, in log return: a stale symbol still has one, a broken one does not explode."""

_RATIO_RANGE = (1e-30, 1e30)
# Movement below is a session's whole path, open to close and both wicks; 0.7 of it is about its return's deviation.
_MOVEMENT_TO_DEVIATION = 0.7
_BATCH = 16_384  # windows per step: their intermediate arrays stay below 50 MB

ops = keras.ops


def _log_ratio(numerator: Any, denominator: Any) -> Any:
    """Log of a ratio, and 0 where either part is missing, zero, infinite or of the wrong sign.

    NaN and infinity go by a condition of their own: tf2onnx writes every other `where` as a sum of products with 0 and
    1, and NaN times 0 is NaN.
    """
    ratio = numerator / denominator
    ratio = ops.where(ops.isnan(ratio), 1.0, ratio)
    ratio = ops.where(ops.isinf(ratio), 1.0, ratio)
    usable = ops.logical_and(ratio > _RATIO_RANGE[0], ratio < _RATIO_RANGE[1])
    return ops.log(ops.where(usable, ratio, 1.0))


@keras.saving.register_keras_serializable(package="closecast")
class WindowFeatures(keras.layers.Layer):
    """Turn raw windows (n, lookback, 6) into features (n, lookback - 1, 6) and the volatility unit (n, 1)."""

    def call(self, window: Any) -> tuple[Any, Any]:
        """Compute the features named in FEATURES and the unit that the first four are measured in."""
        opened, high, low, close, volume = (window[:, 1:, column] for column in range(5))
        previous_close, previous_volume = window[:, :-1, 3], window[:, :-1, 4]
        moves = ops.stack(
            [
                _log_ratio(opened, previous_close),
                _log_ratio(close, opened),
                _log_ratio(high, ops.maximum(opened, close)),
                _log_ratio(ops.minimum(opened, close), low),
            ],
            axis=-1,
        )
        present = ops.cast(close > 0.0, "float32")
        unit = _volatility(ops.sum(ops.abs(moves), axis=-1), present)
        rest = ops.stack([_log_ratio(volume, previous_volume), 1.0 - present], axis=-1)
        features = ops.concatenate([moves / ops.expand_dims(unit, -1), rest], axis=-1)
        return ops.clip(features, -CLIP, CLIP), unit


def _volatility(movement: Any, present: Any) -> Any:
    """Typical movement of a session, (n, 1), over the sessions that are there.

    The mean of square roots, squared, is near the mean of a usual window, yet one 723x day in it weighs little.
    """
    observed = ops.maximum(ops.sum(present, axis=1, keepdims=True), 1.0)
    mean_root = ops.sum(ops.sqrt(movement) * present, axis=1, keepdims=True) / observed
    return ops.clip(_MOVEMENT_TO_DEVIATION * mean_root * mean_root, SCALE_FLOOR, SCALE_CEILING)


@keras.saving.register_keras_serializable(package="closecast")
class ToLogReturn(keras.layers.Layer):
    """Turn forecasts in units of volatility (n, 2) into log returns (n, 2)."""

    def call(self, standardised: Any, unit: Any) -> Any:
        """Clip as the features are clipped, then undo the unit."""
        return ops.clip(standardised, -CLIP, CLIP) * unit


def wrap_raw(core: Any, lookback: int) -> Any:
    """Put the feature layers before, and the undoing of the unit behind, a Keras model of standardised features.

    Parameters
    ----------
    core
        Takes features (n, lookback - 1, 6), gives forecasts (n, 2) in units of volatility.
    """
    window = keras.Input((lookback, len(WINDOW_COLUMNS)), name=INPUT_NAME)
    features, unit = WindowFeatures()(window)
    return keras.Model(window, ToLogReturn()(core(features), unit))


def mirror_features(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn features (n, steps, 6) into those of 1 / price: moves change sign, wicks change places.

    A mirrored window's log returns are the negated ones. Models that treat both alike cannot take the drift of a few
    hundred sessions, most of it one market's luck, for something that the next session will repeat.
    """
    turned = features[..., [FEATURES.index(name) for name in _MIRRORED]]
    return np.asarray(turned * np.array([-1, -1, 1, 1, 1, 1], dtype=np.float32))


def compute_features(windows: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Compute features (n, lookback - 1, 6) and units (n, 1) of raw windows, by the layer that is in every graph."""
    layer = WindowFeatures()
    parts = [layer(windows[start : start + _BATCH]) for start in range(0, len(windows), _BATCH)]
    features, units = zip(*((ops.convert_to_numpy(f), ops.convert_to_numpy(u)) for f, u in parts), strict=True)
    return np.concatenate(features), np.concatenate(units)
