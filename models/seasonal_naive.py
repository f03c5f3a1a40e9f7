"""The log return of one season ago, again: the next session's moves are those of the session a season before it.

A season of 7 sessions is a week of a market that never closes. On an exchange of 5 sessions a week the same 7 sessions
are a week and two days, so nothing recurs in them: take 5 there.
"""

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
class SeasonalNaiveHyperparameters:
    """What the forecast repeats.

    Attributes
    ----------
    season
        Sessions from one to the next of its kind, 1..9: 7 for a week of a 24/7 market, 5 for one of an exchange.
    """

    season: int = 7

    @property
    def lookback(self) -> int:
        """A season and the session before it, whose close its returns are taken against."""
        return self.season + 1


class FittedSeasonalNaive(FittedNaive[SeasonalNaiveHyperparameters]):
    """The window's oldest return, forecast again."""

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) for windows (n, season + 1, 6); zero where one of the two sessions has no price."""
        logs, _ = log_ratio(windows[:, 1, PRICE_COLUMNS], windows[:, 0, [_CLOSE]])
        return np.asarray(logs, dtype=np.float32)

    def save_onnx(self, path: Path) -> None:
        """Write the graph: one division of the second session's prices by the first one's close."""
        columns = ", ".join(map(str, PRICE_COLUMNS))
        constants = f"int64 first = {{0}}, int64 second = {{1}}, int64[1] close = {{{_CLOSE}}}"
        constants += f", int64[{len(PRICE_COLUMNS)}] columns = {{{columns}}}, {RATIO_CONSTANTS}"
        nodes = f"""
            oldest = Gather <axis = 1> (window, first)
            base = Gather <axis = 1> (oldest, close)
            following = Gather <axis = 1> (window, second)
            prices = Gather <axis = 1> (following, columns)
            ratio = Div (prices, base)
            {RATIO_TO_LOG}
            log_return = Identity (log_ratio)
        """
        write_graph(path, lookback=self.hyperparameters.lookback, constants=constants, nodes=nodes)


class SeasonalNaive(NaiveModel[SeasonalNaiveHyperparameters]):
    """The model before fit."""

    name: ClassVar[str] = "seasonal_naive"
    is_naive: ClassVar[bool] = True
    hyperparameters_type = SeasonalNaiveHyperparameters
    fitted_type = FittedSeasonalNaive


MODEL = SeasonalNaive
RANK = 1
