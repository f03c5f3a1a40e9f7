"""The mean of a few multilayer perceptrons over a window's features and the market-wide columns beside it.

How far a coin's move reverts depends on whether the whole market moved, and on how much the coin is traded beside the
others: both are known only over all symbols. Networks that begin at different weights differ by more than the market
says, so there are three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from models.dense_window import DenseWindow, DenseWindowHyperparameters
from models.keras_fit import FittedKeras, average_cores, learn_core
from models.market import MARKET_COLUMNS
from models.protocol import OnProgress
from models.standardise import Lesson


@dataclass(frozen=True)
class MarketWindowHyperparameters(DenseWindowHyperparameters):
    """What shapes a fit, beside what shapes dense_window's.

    Attributes
    ----------
    networks
        How many are averaged, 1..5.
    penalty
        As in dense_window; without one the more columns erred by 0.5 % more than last close on the coins' open.
    """

    networks: int = 5
    penalty: float = 1e-4


class MarketWindow(DenseWindow):
    """The model before fit."""

    name: ClassVar[str] = "market_window"
    hyperparameters_type = MarketWindowHyperparameters
    market_columns: ClassVar[tuple[str, ...]] = MARKET_COLUMNS
    hyperparameters: MarketWindowHyperparameters

    def learn(
        self, lesson: Lesson, *, on_progress: OnProgress | None = None, checkpoint: Path | None = None
    ) -> FittedKeras:
        """Fit one network after the other, each from weights of its own."""
        chosen, cores, curve = self.hyperparameters, list[Any](), list[dict[str, float]]()
        for _ in range(chosen.networks):
            cores.append(self.build_core())
            kept = checkpoint and checkpoint / f"network_{len(cores)}"
            learned = learn_core(cores[-1], lesson, chosen, checkpoint=kept)
            curve.append(
                {f"network_{len(cores)}_{key}": value for key, value in learned[-1].items()} if learned else {}
            )
            if on_progress is not None:
                on_progress(len(cores), chosen.networks, curve[-1])
        core = average_cores(cores, self.lookback, n_features=self.n_features)
        return FittedKeras(self.name, core, self.lookback, curve, self.market_columns)


MODEL = MarketWindow
RANK = 45
"""Its place among the others: more networks than bigru's one, and another input."""
