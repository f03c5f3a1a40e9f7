"""The mean of a few multilayer perceptrons over a window's features and the market-wide columns beside it.

How far a coin's move reverts depends on whether the whole market moved, and on how much the coin is traded beside the
others: both are known only over all symbols. The open and the close have layers of their own, those of the open with a
penalty on their weights: where trading never stops, the open is nearly the last close, and what more columns seem to
say of it is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from models.keras_fit import EACH_LAYER, FORECAST_LAYER, KerasHyperparameters, KerasModel
from models.keras_runtime import keras
from models.market import MARKET_COLUMNS
from models.protocol import TARGETS


@dataclass(frozen=True)
class MarketWindowHyperparameters(KerasHyperparameters):
    """What shapes a fit, beside what shapes that of any network.

    Attributes
    ----------
    first, second
        Units of the two layers of each target, 16..256.
    open_penalty, close_penalty
        On their squared weights, 0..0.002.
    networks
        How many are averaged, 1..5.
    """

    seen: int = 4
    first: int = 64
    second: int = 32
    open_penalty: float = 5e-4
    close_penalty: float = 0.0
    networks: int = 4


class MarketWindow(KerasModel[MarketWindowHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "market_window"
    hyperparameters_type = MarketWindowHyperparameters
    market_columns: ClassVar[tuple[str, ...]] = MARKET_COLUMNS

    def build_core(self) -> Any:
        """Build the layers of all networks and their mean; they start as the last close, by output layers of zeros."""
        chosen = self.hyperparameters
        features = keras.Input((chosen.seen, self.n_features))
        seen = keras.layers.RepeatVector(chosen.networks)(keras.layers.Flatten()(features))
        penalties = (chosen.open_penalty, chosen.close_penalty)
        each = keras.layers.Concatenate(name=EACH_LAYER)([self._forecast_one(seen, penalty) for penalty in penalties])
        # Learns nothing: its weights take up what the targets were divided by.
        unscaled = keras.layers.Dense(len(TARGETS), kernel_initializer="identity", trainable=False, name=FORECAST_LAYER)
        return keras.Model(features, unscaled(keras.layers.GlobalAveragePooling1D()(each)))

    def _forecast_one(self, hidden: Any, penalty: float) -> Any:
        """Layers that forecast one target by every network, (n, networks, 1)."""
        chosen = self.hyperparameters
        # The loss is the mean over all networks, so that each has its part of the penalty too.
        held = keras.regularizers.L2(penalty / chosen.networks) if penalty else None
        for units in (chosen.first, chosen.second):
            bound = math.sqrt(6 / (hidden.shape[-1] + units))  # Glorot's, of one network
            hidden = keras.layers.EinsumDense(
                "bni,nio->bno",
                (chosen.networks, units),
                bias_axes="no",
                activation="swish",
                kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
                kernel_regularizer=held,
            )(hidden)
        last = keras.layers.EinsumDense(
            "bni,nio->bno", (chosen.networks, 1), bias_axes="no", kernel_initializer="zeros"
        )
        return last(hidden)


MODEL = MarketWindow
RANK = 45
"""Its place among the others: more networks than bigru's one, and another input."""
