"""Where each row of bars goes in a dense array: what every reader of sessions by symbols shares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def locate_sessions(table: pa.Table, sessions: Sequence[date]) -> npt.NDArray[np.int64]:
    """Give each row the position of its session among `sessions`, oldest first, of which it must be one."""
    days = table["session"].cast(pa.int32()).to_numpy()
    known = np.array(sessions, dtype="datetime64[D]").astype(np.int64)
    return np.asarray(np.searchsorted(known, days), dtype=np.int64)


def read_floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Read a column of numbers, NaN where it is null."""
    values: npt.NDArray[np.float64] = pc.fill_null(table[name].cast(pa.float64()), np.nan).to_numpy()
    return values
