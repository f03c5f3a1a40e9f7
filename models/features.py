"""Scale-free features of a raw window, computed inside the graph: the same layers learn, predict and become ONNX.

Everything is a log ratio of two prices of the same window, so a 1e-7 coin and a 1e5 coin look alike and float32 loses
nothing (the ratio is exact to 6e-8; a difference of two logs near -18 would not be). Ratios are then measured in units
of the window's own volatility and clipped, so no jump, gap or absurd price can make an output that is not finite.
A session without a row gives zeros and a flag. The market cap is not read. Where a model needs market-wide columns,
they are features behind these, their returns measured in the same unit.
"""

from __future__ import annotations

from functools import cache
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from models.keras_runtime import keras, tf
from models.market import RETURN_COLUMNS
from models.protocol import INPUT_NAME, MARKET_NAME, WINDOW_COLUMNS, Floats

FEATURES = ("gap", "body", "upper_wick", "lower_wick", "volume_change", "absent", "unchanged", "volatility")
"""Last axis of the features, (n, lookback - 1, 8): the first session only gives the second its previous close.

`unchanged` is 1 where a close is the one before it, to the last digit: prices that hardly trade revert differently.
`volatility` is the log of the unit, shifted and divided to lie near -1 .. 1, the same at every session of a window.
"""

CLIP = 5.0
"""Features, and forecasts, beyond so many units of volatility count as this many."""

SCALE_FLOOR, SCALE_CEILING = 1e-4, 2.0
"""Bounds of the volatility unit, in log return: a stale symbol still has one, a broken one does not explode."""

_RATIO_RANGE = (1e-30, 1e30)
# Movement below is a session's whole path, open to close and both wicks; 0.7 of it is about its return's deviation.
_MOVEMENT_TO_DEVIATION = 0.7
_LEVEL_CENTRE, _LEVEL_WIDTH = log(0.05), 3.0  # a unit of 5 % is 0, one of 100 % is 1, one of 0.25 % is -1
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
    """Turn raw windows (n, lookback, 6) into features (n, lookback - 1, 8) and the volatility unit (n, 1)."""

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
        level = (ops.log(unit) - _LEVEL_CENTRE) / _LEVEL_WIDTH
        unchanged = ops.cast(ops.equal(close, previous_close), "float32")
        rest = ops.stack(
            [_log_ratio(volume, previous_volume), 1.0 - present, unchanged, level * ops.ones_like(present)], axis=-1
        )
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
class MarketFeatures(keras.layers.Layer):
    """Turn market-wide columns (n, lookback, k) into features (n, lookback - 1, k): returns in units of volatility."""

    def __init__(self, columns: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = list(columns)

    def call(self, market: Any, unit: Any) -> Any:
        """Leave out the first session, as `WindowFeatures` does, so that no return is asked for before the window."""
        is_return = np.array([name in RETURN_COLUMNS for name in self.columns], dtype=np.float32)
        known = ops.where(ops.isnan(market), 0.0, market)
        known = ops.where(ops.isinf(known), 0.0, known)[:, 1:]
        return ops.clip(known * (is_return / ops.expand_dims(unit, -1) + (1.0 - is_return)), -CLIP, CLIP)

    def get_config(self) -> dict[str, Any]:
        """Give what builds the layer again."""
        return {**super().get_config(), "columns": self.columns}


@keras.saving.register_keras_serializable(package="closecast")
class ToLogReturn(keras.layers.Layer):
    """Turn forecasts in units of volatility (n, 2) into log returns (n, 2)."""

    def call(self, standardised: Any, unit: Any) -> Any:
        """Clip as the features are clipped, then undo the unit."""
        return ops.clip(standardised, -CLIP, CLIP) * unit


def wrap_raw(core: Any, lookback: int, market: tuple[str, ...] = ()) -> Any:
    """Put the feature layers before, and the undoing of the unit behind, a Keras model of standardised features.

    Parameters
    ----------
    core
        Takes the features of the newest sessions (n, at most lookback - 1, 8 and the market-wide columns), gives
        forecasts (n, 2) in units of volatility.
    market
        Market-wide columns; with some the model takes two inputs.
    """
    window = keras.Input((lookback, len(WINDOW_COLUMNS)), name=INPUT_NAME)
    features, unit = WindowFeatures()(window)
    if not market:
        return keras.Model(window, ToLogReturn()(core(take_newest(core, features)), unit))
    beside = keras.Input((lookback, len(market)), name=MARKET_NAME)
    features = keras.layers.Concatenate()([features, MarketFeatures(list(market))(beside, unit)])
    return keras.Model([window, beside], ToLogReturn()(core(take_newest(core, features)), unit))


def take_newest(core: Any, features: Any) -> Any:
    """Give of features (n, steps, k), an array or a tensor, the newest sessions, as many as a core's input has."""
    return features[:, -core.input_shape[1] :]


def split_columns(windows: Floats) -> Floats | list[Floats]:
    """Split windows (n, lookback, 6 and market-wide columns) into what `wrap_raw`'s model takes, one array or two."""
    own = len(WINDOW_COLUMNS)
    return windows if windows.shape[-1] == own else [windows[..., :own], windows[..., own:]]


def compute_features(
    windows: Floats, market: tuple[str, ...] = ()
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Compute features (n, lookback - 1, 8 + k) and units (n, 1) of windows, by the layers that are in every graph.

    Parameters
    ----------
    windows
        (n, lookback, 6 + k), raw windows with the k market-wide columns behind their own.
    """
    n_windows, lookback = windows.shape[:2]
    features = np.empty((n_windows, lookback - 1, len(FEATURES) + len(market)), dtype=np.float32)
    units = np.empty((n_windows, 1), dtype=np.float32)
    for start in range(0, n_windows, _BATCH):
        rows = slice(start, start + _BATCH)
        window = np.asarray(windows[rows], dtype=np.float32)
        features[rows], units[rows] = (ops.convert_to_numpy(part) for part in _compile_layers(market)(window))
    return features, units


@cache
def _compile_layers(market: tuple[str, ...]) -> Any:
    """The layers as one graph, traced once for all numbers of windows and sessions: twice as fast as op by op."""
    own, beside = WindowFeatures(), MarketFeatures(list(market))

    def compute(window: Any) -> tuple[Any, Any]:
        features, unit = own(window[..., : len(WINDOW_COLUMNS)])
        if market:
            features = ops.concatenate([features, beside(window[..., len(WINDOW_COLUMNS) :], unit)], axis=-1)
        return features, unit

    every = tf.TensorSpec((None, None, len(WINDOW_COLUMNS) + len(market)), tf.float32)
    return tf.function(compute, input_signature=[every])
