"""What every model is: something that fits on raw windows and becomes one ONNX graph that takes raw windows.

The order of a window's last axis and of a forecast's last axis is the contract of every artifact ever registered, so it
is spelled here and not taken from the tables' schema, which lies in a higher layer; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

WINDOW_COLUMNS = ("open", "high", "low", "close", "volume", "market_cap")
"""Last axis of a raw window, (n, lookback, 6): prices in the quote currency; a session without a row is NaN."""

TARGETS = ("open", "close")
"""Last axis of a forecast, (n, 2): log(next open / last close), log(next close / last close)."""

INPUT_NAME = "window"
MARKET_NAME = "market"
OUTPUT_NAME = "log_return"

MARKET_METADATA = "market_columns"
"""Key of a graph's metadata: the names of the columns of its input `market`, by commas."""

Floats = npt.NDArray[np.floating[Any]]
OnProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called as on_progress(steps done, steps in all, figures of the newest step)."""


class FittedModel(Protocol):
    """A model after fit: it forecasts, and it can be written as an artifact and as its original."""

    @property
    def learning_curve(self) -> list[dict[str, float]]:
        """One dict of figures per step of the fit, oldest first; empty where nothing is learned."""
        ...

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from windows (n, lookback, 6 and the market-wide columns), by the original."""
        ...

    def save_onnx(self, path: Path) -> None:
        """Write one graph: `window` float32 (n_symbols, lookback, 6) to `log_return` float32 (n_symbols, 2).

        With market-wide columns it takes `market` float32 (n_symbols, lookback, k) too, and names them in its metadata.
        """
        ...

    def save_original(self, folder: Path) -> None:
        """Write the fitted model in its own library's terms into `folder`, never as a pickle."""
        ...


class Model(Protocol):
    """A model before fit."""

    name: ClassVar[str]
    is_naive: ClassVar[bool]
    """Whether it learns nothing: what a challenger must beat whoever serves."""

    @property
    def lookback(self) -> int:
        """Raw sessions in a window, the newest last."""
        ...

    @property
    def market_columns(self) -> tuple[str, ...]:
        """Market-wide columns that it needs, of `models.market.MARKET_COLUMNS`: they stand behind a window's own."""
        ...

    @property
    def hyperparameters(self) -> Any:
        """A frozen dataclass, one per model."""
        ...

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedModel:
        """Fit on windows, shaped as `predict` takes them, and targets (n, 2), both in time order.

        A fit that takes long keeps what it has learned in the folder `checkpoint` and goes on from what lies there; the
        same call then gives the model that an undisturbed one would, or one as good.
        """
        ...
