"""A bidirectional GRU over the features of a window, one model for all symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from models.keras_fit import FORECAST_LAYER, KerasHyperparameters, KerasModel
from models.keras_runtime import keras
from models.protocol import TARGETS


@dataclass(frozen=True)
class BiGRUHyperparameters(KerasHyperparameters):
    """What shapes a fit, beside what shapes that of any network.

    Attributes
    ----------
    hidden
        Units of the GRU in each direction, 16..50.
    head
        Units of the layer between the GRU and the forecast, 16..64.
    """

    hidden: int = 16
    head: int = 32


class BiGRU(KerasModel[BiGRUHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "bigru"
    hyperparameters_type = BiGRUHyperparameters

    def build_core(self) -> Any:
        """Build the layers; they start as the last close, by an output layer of zeros."""
        chosen = self.hyperparameters
        features = keras.Input((chosen.seen, self.n_features))
        summary = keras.layers.Bidirectional(keras.layers.GRU(chosen.hidden, unroll=True))(features)
        newest = keras.layers.Flatten()(features[:, -2:, :])  # what matters most need not pass through the gates
        hidden = keras.layers.Dense(chosen.head, activation="swish")(keras.layers.Concatenate()([summary, newest]))
        forecast = keras.layers.Dense(len(TARGETS), kernel_initializer="zeros", name=FORECAST_LAYER)(hidden)
        return keras.Model(features, forecast)


MODEL = BiGRU
RANK = 40
