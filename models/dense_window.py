"""A multilayer perceptron over all features of a window at once, one model for all symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from models.keras_fit import FORECAST_LAYER, KerasHyperparameters, KerasModel
from models.keras_runtime import keras
from models.protocol import TARGETS


@dataclass(frozen=True)
class DenseWindowHyperparameters(KerasHyperparameters):
    """What shapes a fit, beside what shapes that of any network.

    Attributes
    ----------
    seen
        As for any network; here older sessions were worth less than nothing.
    first, second
        Units of the two layers, 16..256.
    """

    seen: int = 4
    first: int = 64
    second: int = 32


class DenseWindow(KerasModel[DenseWindowHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "dense_window"
    hyperparameters_type = DenseWindowHyperparameters

    def build_core(self) -> Any:
        """Build the layers; they start as the last close, by an output layer of zeros."""
        chosen = self.hyperparameters
        features = keras.Input((chosen.seen, self.n_features))
        hidden = keras.layers.Flatten()(features)
        for units in (chosen.first, chosen.second):
            hidden = keras.layers.Dense(units, activation="swish")(hidden)
        forecast = keras.layers.Dense(len(TARGETS), kernel_initializer="zeros", name=FORECAST_LAYER)(hidden)
        return keras.Model(features, forecast)


MODEL = DenseWindow
RANK = 30
