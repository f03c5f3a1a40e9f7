"""The models that learn nothing: what they share, and their graphs in ONNX's own textual syntax, without TensorFlow.

The syntax is that of onnx/docs/Syntax.md in the repository onnx/onnx, release 1.23.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic

import numpy as np
import onnx
import onnx.parser

from models.configured import Chosen, Configured
from models.protocol import INPUT_NAME, OUTPUT_NAME, TARGETS, WINDOW_COLUMNS, Floats, OnProgress

LOWEST_RATIO, HIGHEST_RATIO = 1e-30, 1e30
"""A ratio of two prices beyond these, or one that is not a number, says nothing: its log counts as zero."""

PRICE_COLUMNS = [WINDOW_COLUMNS.index(name) for name in TARGETS]
"""Columns of a window that are forecast, in the order of the targets."""

_HEADER = """<ir_version: 9, opset_import: ["": 18]>
closecast (float[n_symbols, {lookback}, {n_columns}] {input}) => (float[n_symbols, {n_targets}] {output})
"""  # of one age; ONNX Runtime refuses an IR version newer than itself

RATIO_CONSTANTS = f"float lowest = {{{LOWEST_RATIO}}}, float highest = {{{HIGHEST_RATIO}}}, float one = {{1.0}}"
RATIO_TO_LOG = """
    above = Greater (ratio, lowest)
    below = Less (ratio, highest)
    usable = And (above, below)
    safe = Where (usable, ratio, one)
    log_ratio = Log (safe)
"""
"""Nodes from `ratio` to `log_ratio`, which is zero where not `usable`; they need RATIO_CONSTANTS."""


def write_graph(path: Path, *, lookback: int | str, constants: str, nodes: str) -> None:
    """Write the graph of `window` to `log_return` that the nodes describe; the same text gives the same bytes.

    Parameters
    ----------
    lookback
        Sessions of the window, or a name where any number will do.
    constants, nodes
        What stands between the angle brackets and between the braces of a textual graph.
    """
    header = _HEADER.format(
        lookback=lookback,
        n_columns=len(WINDOW_COLUMNS),
        n_targets=len(TARGETS),
        input=INPUT_NAME,
        output=OUTPUT_NAME,
    )
    model = onnx.parser.parse_model(f"{header}<{constants}>\n{{{nodes}}}")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def log_ratio(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Compute what RATIO_TO_LOG does, and where it is usable, as 0 or 1; shapes broadcast."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = numerator / denominator
        usable = (ratio > LOWEST_RATIO) & (ratio < HIGHEST_RATIO)
    return np.asarray(np.log(np.where(usable, ratio, 1.0))), usable.astype(ratio.dtype)


class FittedNaive(Generic[Chosen]):
    """What a naive model is once it was fitted: its hyperparameters, and how a subclass forecasts by them."""

    def __init__(self, name: str, hyperparameters: Chosen) -> None:
        self.name, self.hyperparameters = name, hyperparameters
        self.learning_curve: list[dict[str, float]] = []

    def save_original(self, folder: Path) -> None:
        """Write NAME.json, its hyperparameters: there is nothing else."""
        (folder / f"{self.name}.json").write_text(json.dumps(asdict(self.hyperparameters)) + "\n")

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6)."""
        raise NotImplementedError

    def save_onnx(self, path: Path) -> None:
        """Write the graph."""
        raise NotImplementedError


class NaiveModel(Configured[Chosen]):
    """A naive model before fit: a subclass names itself, its hyperparameters and what it is once fitted."""

    name: ClassVar[str]
    is_naive: ClassVar[bool]
    fitted_type: ClassVar[type[FittedNaive[Any]]]

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedNaive[Chosen]:
        """Learn nothing; the arguments are the protocol's."""
        return self.fitted_type(self.name, self.hyperparameters)
