"""The mean of a few multilayer perceptrons over a window's features and the market-wide columns beside it.

How far a coin's move reverts depends on whether the whole market moved, and on how much the coin is traded beside the
others: both are known only over all symbols. The open and the close have layers of their own, those of the open with a
penalty on their weights: where trading never stops, the open is nearly the last close, and what more columns seem to
say of it is noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from models.keras_fit import FORECAST_LAYER, FittedKeras, KerasHyperparameters, KerasModel, average_cores, learn_core
from models.keras_runtime import keras
from models.market import MARKET_COLUMNS
from models.protocol import TARGETS, OnProgress
from models.standardise import Lesson


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
        """Build the layers of one network; they start as the last close, by output layers of zeros."""
        chosen = self.hyperparameters
        features = keras.Input((chosen.lookback - 1, self.n_features))
        seen = keras.layers.Flatten()(features[:, -chosen.seen :, :])
        forecasts = [self._forecast_one(seen, penalty) for penalty in (chosen.open_penalty, chosen.close_penalty)]
        # Learns nothing: its weights take up what the targets were divided by.
        unscaled = keras.layers.Dense(len(TARGETS), kernel_initializer="identity", trainable=False, name=FORECAST_LAYER)
        return keras.Model(features, unscaled(keras.layers.Concatenate()(forecasts)))

    def _forecast_one(self, hidden: Any, penalty: float) -> Any:
        """Layers that forecast one target, (n, 1)."""
        for units in (self.hyperparameters.first, self.hyperparameters.second):
            held = keras.regularizers.L2(penalty) if penalty else None
            hidden = keras.layers.Dense(units, activation="swish", kernel_regularizer=held)(hidden)
        return keras.layers.Dense(1, kernel_initializer="zeros")(hidden)

    def learn(
        self, lesson: Lesson, *, on_progress: OnProgress | None = None, checkpoint: Path | None = None
    ) -> FittedKeras:
        """Fit one network after the other, each from weights of its own."""
        chosen, cores, curve = self.hyperparameters, list[Any](), list[dict[str, float]]()
        for _ in range(chosen.networks):
            cores.append(self.build_core())
            kept = checkpoint and checkpoint / f"network_{len(cores)}"
            learned = learn_core(cores[-1], lesson, chosen, checkpoint=kept)
            newest = learned[-1] if learned else {}
            curve.append({f"network_{len(cores)}_{key}": value for key, value in newest.items()})
            if on_progress is not None:
                on_progress(len(cores), chosen.networks, curve[-1])
        core = average_cores(cores, self.lookback, n_features=self.n_features)
        return FittedKeras(self.name, core, self.lookback, curve, self.market_columns)


MODEL = MarketWindow
RANK = 45
"""Its place among the others: more networks than bigru's one, and another input."""
