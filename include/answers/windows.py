"""The newest sessions of every symbol of an upload, kept as its sessions go by: windows as scoring reads them.

A session is a date on which the upload has a row that stands; one in which a symbol has none is a row of NaN in its
window, as in a window of the lake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import WINDOW_COLUMNS
from models.market import measure_market

Codes = npt.NDArray[np.int32]

MEMORY_BYTES = 1 << 30
"""What the newest sessions of all symbols may take."""


class RollingWindows:
    """The newest `lookback` sessions.

    Parameters
    ----------
    symbols
        How many there are; a symbol is known by its code, 0 up to before this.
    lookback
        Sessions in a window.
    place
        File name, for the message.
    market
        Names of market-wide columns that stand behind a window's own: of all symbols of the upload.
    precision
        Of the windows.

    Raises
    ------
    InputError
        They would not fit into memory.
    """

    def __init__(
        self,
        symbols: int,
        lookback: int,
        place: str,
        *,
        market: Sequence[str] = (),
        precision: type[np.floating[Any]] = np.float32,
    ) -> None:
        needed = symbols * lookback * (len(WINDOW_COLUMNS) + len(market)) * np.dtype(precision).itemsize
        if needed > MEMORY_BYTES:
            rule = f"symbols times the model's lookback must fit into {MEMORY_BYTES >> 20:,} MiB of windows"
            raise InputError(rule, value=f"{symbols:,} symbols, {lookback} sessions", place=place)
        self._names = tuple(market)
        self._ring = np.full((lookback, symbols, len(WINDOW_COLUMNS)), np.nan, dtype=precision)
        self._market = np.zeros((lookback, symbols, len(market)), dtype=precision)
        self._codes = [np.empty(0, np.int32) for _ in range(lookback)]
        self._observed = np.zeros(symbols, dtype=np.int32)
        self._sessions = 0

    def advance(self, codes: Codes, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int32]:
        """Take the next session.

        Parameters
        ----------
        codes
            The symbols that have a row, each once, (n,).
        values
            Their rows, (n, 6).

        Returns
        -------
        numpy.ndarray
            int32 (n,): in how many of the newest sessions, this one included, each has a row.
        """
        slot = self._sessions % len(self._ring)
        gone = self._codes[slot]
        self._ring[slot, gone] = np.nan
        self._observed[gone] -= 1
        self._ring[slot, codes] = values
        self._observed[codes] += 1
        self._codes[slot] = codes
        if self._names:
            self._market[slot] = measure_market(self._ring[[slot - 1, slot]], self._names)[1]
        self._sessions += 1
        return self._observed[codes]

    def gather(self, codes: Codes) -> npt.NDArray[np.floating[Any]]:
        """Give the windows of some symbols, (n, lookback, 6 + k), the newest session last, NaN where absent."""
        order = (self._sessions + np.arange(len(self._ring))) % len(self._ring)
        windows = self._ring[order[None, :], codes[:, None]]
        if not self._names:
            return windows
        return np.concatenate([windows, self._market[order[None, :], codes[:, None]]], axis=-1)
