"""The mean log return of the window, again: each symbol goes on as it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from models.naive import (
    PRICE_COLUMNS,
    RATIO_CONSTANTS,
    RATIO_TO_LOG,
    FittedNaive,
    NaiveModel,
    log_ratio,
    write_graph,
)
from models.protocol import WINDOW_COLUMNS, Floats

_CLOSE = WINDOW_COLUMNS.index("close")


@dataclass(frozen=True)
class DriftNaiveHyperparameters:
    """What the mean is taken over.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 2..10: one return fewer than sessions.
    """

    lookback: int = 8


class FittedDriftNaive(FittedNaive[DriftNaiveHyperparameters]):
    """The mean of the window's returns, of the open and of the close each against the close before."""

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) for windows (n, lookback, 6): the mean over neighbours that both have a price, or zero."""
        logs, usable = log_ratio(windows[:, 1:, PRICE_COLUMNS], windows[:, :-1, [_CLOSE]])
        return np.asarray(logs.sum(axis=1) / np.maximum(usable.sum(axis=1), 1.0), dtype=np.float32)

    def save_onnx(self, path: Path) -> None:
        """Write the graph: every session's prices over the close before, their logs, and the mean of those known."""
        columns = ", ".join(map(str, PRICE_COLUMNS))
        lookback = self.hyperparameters.lookback
        constants = f"int64[1] close = {{{_CLOSE}}}, int64[{len(PRICE_COLUMNS)}] columns = {{{columns}}}"
        constants += ", int64[1] sessions = {1}, int64[1] zero = {0}, int64[1] second = {1}"
        constants += f", int64[1] newest = {{{lookback - 1}}}, int64[1] end = {{{lookback}}}, {RATIO_CONSTANTS}"
        nodes = f"""
            earlier = Slice (window, zero, newest, sessions)
            base = Gather <axis = 2> (earlier, close)
            later = Slice (window, second, end, sessions)
            prices = Gather <axis = 2> (later, columns)
            ratio = Div (prices, base)
            {RATIO_TO_LOG}
            total = ReduceSum <keepdims = 0> (log_ratio, sessions)
            known = Cast <to = 1> (usable)
            count = ReduceSum <keepdims = 0> (known, sessions)
            divisor = Max (count, one)
            log_return = Div (total, divisor)
        """
        write_graph(path, lookback=lookback, constants=constants, nodes=nodes)


class DriftNaive(NaiveModel[DriftNaiveHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "drift_naive"
    is_naive: ClassVar[bool] = True
    hyperparameters_type = DriftNaiveHyperparameters
    fitted_type = FittedDriftNaive


MODEL = DriftNaive
RANK = 2
