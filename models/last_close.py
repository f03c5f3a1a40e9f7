"""The last close as a model like any other: it forecasts a log return of zero, and takes no library to fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from models.naive import FittedNaive, NaiveModel, write_graph
from models.protocol import TARGETS, Floats

_NODES = """
    n_symbols = Shape <start = 0, end = 1> (window)
    shape = Concat <axis = 0> (n_symbols, n_targets)
    log_return = ConstantOfShape (shape)
"""


@dataclass(frozen=True)
class LastCloseHyperparameters:
    """Nothing to choose but the window, of which only the last session must be there.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 1 or more; the graph takes any number.
    """

    lookback: int = 1


class FittedLastClose(FittedNaive[LastCloseHyperparameters]):
    """A forecast of zero for every symbol."""

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) zeros for windows (n, lookback, 6)."""
        return np.zeros((len(windows), len(TARGETS)), dtype=np.float32)

    def save_onnx(self, path: Path) -> None:
        """Write the graph; it reads the window's first dimension only, so a NaN in it cannot reach the output."""
        constants = f"int64[1] n_targets = {{{len(TARGETS)}}}"
        write_graph(path, lookback="lookback", constants=constants, nodes=_NODES)


class LastClose(NaiveModel[LastCloseHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "last_close"
    is_naive: ClassVar[bool] = True
    hyperparameters_type = LastCloseHyperparameters
    fitted_type = FittedLastClose


MODEL = LastClose
RANK = 0
