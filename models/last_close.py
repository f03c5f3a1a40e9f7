"""The last close as a model like any other: it forecasts a log return of zero, and takes no library to fit.

Its graph is written with onnx.helper, so that the first champion is there before TensorFlow has been imported.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.protocol import INPUT_NAME, OUTPUT_NAME, TARGETS, WINDOW_COLUMNS, Floats, OnProgress

_OPSET, _IR_VERSION = 18, 9  # of one age; ONNX Runtime refuses an IR version newer than itself


@dataclass(frozen=True)
class LastCloseHyperparameters:
    """Nothing to choose but the window, of which only the last session must be there.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 1 or more; the graph takes any number.
    """

    lookback: int = 1


class FittedLastClose:
    """A forecast of zero for every symbol."""

    def __init__(self, hyperparameters: LastCloseHyperparameters) -> None:
        self._hyperparameters = hyperparameters
        self.learning_curve: list[dict[str, float]] = []

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) zeros for windows (n, lookback, 6)."""
        return np.zeros((len(windows), len(TARGETS)), dtype=np.float32)

    def save_onnx(self, path: Path) -> None:
        """Write the graph; it reads the window's first dimension only, so a NaN in it cannot reach the output."""
        path.write_bytes(_build_graph().SerializeToString(deterministic=True))

    def save_original(self, folder: Path) -> None:
        """Write last_close.json, its hyperparameters: there is nothing else."""
        (folder / "last_close.json").write_text(json.dumps(asdict(self._hyperparameters)) + "\n")


class LastClose:
    """The model before fit."""

    name: ClassVar[str] = "last_close"

    def __init__(self, hyperparameters: LastCloseHyperparameters | None = None) -> None:
        self.hyperparameters = hyperparameters or LastCloseHyperparameters()

    @property
    def lookback(self) -> int:
        """Raw sessions in a window."""
        return self.hyperparameters.lookback

    def fit(
        self, windows: Floats, targets: Floats, *, seed: int, threads: int, on_progress: OnProgress | None = None
    ) -> FittedLastClose:
        """Learn nothing; the arguments are the protocol's."""
        return FittedLastClose(self.hyperparameters)


def _build_graph() -> onnx.ModelProto:
    """Zeros of shape (n_symbols, 2), from the shape of the window alone."""
    nodes = [
        helper.make_node("Shape", [INPUT_NAME], ["n_symbols"], start=0, end=1),
        helper.make_node("Concat", ["n_symbols", "n_targets"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], [OUTPUT_NAME]),
    ]
    window = helper.make_tensor_value_info(
        INPUT_NAME, TensorProto.FLOAT, ["n_symbols", "lookback", len(WINDOW_COLUMNS)]
    )
    forecast = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["n_symbols", len(TARGETS)])
    n_targets = helper.make_tensor("n_targets", TensorProto.INT64, [1], [len(TARGETS)])
    graph = helper.make_graph(nodes, "closecast", [window], [forecast], [n_targets])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model
