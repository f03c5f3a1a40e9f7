"""The mean of what ridge, dense_window and bigru forecast: three fits on the same windows, one graph.

Their errors are far from the same, so their mean is nearer than each of them on most sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from models.bigru import BiGRU, BiGRUHyperparameters
from models.configured import Configured
from models.dense_window import DenseWindow, DenseWindowHyperparameters
from models.features import FEATURES
from models.keras_fit import FittedKeras, average_cores
from models.keras_runtime import prepare_keras
from models.protocol import Floats, OnProgress
from models.ridge import RidgeHyperparameters, RidgeModel
from models.standardise import prepare_lesson

_MEMBERS = 3


@dataclass(frozen=True)
class EnsembleHyperparameters:
    """The members' own are their defaults.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 6..10, the same for every member.
    """

    lookback: int = 10


class Ensemble(Configured[EnsembleHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "ensemble"
    is_naive: ClassVar[bool] = False
    hyperparameters_type = EnsembleHyperparameters

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedKeras:
        """Learn each member alone.

        Parameters
        ----------
        windows, targets
            (n, lookback, 6) and (n, 2), in time order.
        on_progress
            Called after each member.
        checkpoint
            The networks keep theirs in folders of it.

        Raises
        ------
        ValueError
            If there are fewer than 20 windows.
        """
        lesson, curve = prepare_lesson(windows, targets), list[dict[str, float]]()

        def tell(name: str, learned: list[dict[str, float]]) -> None:
            curve.append({f"{name}_{figure}": value for figure, value in learned[-1].items()} if learned else {})
            if on_progress is not None:
                on_progress(len(curve), _MEMBERS, curve[-1])

        ridge = RidgeModel(RidgeHyperparameters(lookback=self.lookback)).learn(lesson)
        tell("ridge", ridge.learning_curve)
        cores = [ridge.core]
        for network in (
            DenseWindow(DenseWindowHyperparameters(lookback=self.lookback)),
            BiGRU(BiGRUHyperparameters(lookback=self.lookback)),
        ):
            prepare_keras(seed=seed, threads=threads)  # each is what it would be alone
            fitted = network.learn(lesson, checkpoint=checkpoint and checkpoint / network.name)
            tell(network.name, fitted.learning_curve)
            cores.append(fitted.core)
        return FittedKeras(
            self.name, average_cores(cores, self.lookback, n_features=len(FEATURES)), self.lookback, curve
        )


MODEL = Ensemble
RANK = 50
