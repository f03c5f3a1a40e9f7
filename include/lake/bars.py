"""Bars as they are read for training and scoring: pinned to a version, cut at a session, dense per symbol.

A window is the newest `lookback` sessions of the lake up to and including `as_of`. A session in which the symbol has
no row is a row of NaN, so that a model sees what was missing and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.errors import NotFoundError
from include.lake.catalog import open_committed
from include.lake.tables import BARS, list_partitions, read_partitions
from include.schema import WINDOW_COLUMNS

MOST_MISSING = 2
"""Sessions that a window may lack before its symbol is too short to be forecast, in training as in scoring."""


@dataclass(frozen=True)
class BarCube:
    """Bars of some sessions as one dense array.

    Attributes
    ----------
    values
        float32 (n_sessions, n_symbols, 6), columns as `schema.WINDOW_COLUMNS`, NaN where there is no row.
    sessions
        Oldest first; fewer than n_sessions where the table begins later.
    symbols
        (n_symbols,), sorted.
    last_close
        float64 (n_symbols,), the close of the newest row of each symbol in these sessions.
    last_seen
        int64 (n_symbols,), position in `sessions` of that row.
    bars_version
        Version of the table that was read.
    """

    values: npt.NDArray[np.float32]
    sessions: list[date]
    symbols: npt.NDArray[np.object_]
    last_close: npt.NDArray[np.float64]
    last_seen: npt.NDArray[np.int64]
    bars_version: int


def open_bars(lake: Path, *, version: int | None = None) -> DeltaTable:
    """Open bars at a version, by default the newest that the catalog names."""
    return open_committed(lake, BARS, version=version)


def newest_session(lake: Path) -> date:
    """Return the newest session that has bars.

    Raises
    ------
    NotFoundError
        There are no bars yet.
    """
    return list_partitions(open_bars(lake))[-1]


def sessions_up_to(bars: DeltaTable, as_of: date, *, count: int | None = None) -> list[date]:
    """Return the newest `count` sessions of the table that are not after `as_of`, oldest first.

    Raises
    ------
    NotFoundError
        `as_of` itself has no bars.
    """
    sessions = [session for session in list_partitions(bars) if session <= as_of]
    if not sessions or sessions[-1] != as_of:
        newest = f"the newest before it is {sessions[-1]}" if sessions else "none before it"
        raise NotFoundError(f"session {as_of} must have bars", value=newest, place="bars")
    return sessions[-count:] if count else sessions


def read_cube(bars: DeltaTable, sessions: Sequence[date], *, window: int | None = None) -> BarCube:
    """Read sessions into a dense cube.

    Parameters
    ----------
    bars
        The table, open at the version that is wanted.
    sessions
        Oldest first. All decide which symbols there are, when each was last seen, and at which close.
    window
        Give `values` for the newest `window` sessions alone (all by default): what a model looks back on is often less
        than what decides whether a symbol is still listed. Where there are fewer sessions, NaN stands before them.
    """
    kept = list(sessions)[-(window or len(sessions)) :]
    older = list(sessions)[: len(sessions) - len(kept)]
    recent = read_partitions(bars, "session", kept, columns=["session", "symbol", *WINDOW_COLUMNS])
    seen = read_partitions(bars, "session", older, columns=["session", "symbol", "close"])
    symbols, (recent_code, seen_code) = _encode_symbols(recent, seen)
    length = window or len(sessions)
    values = np.full((length, len(symbols), len(WINDOW_COLUMNS)), np.nan, dtype=np.float32)
    position = _session_positions(recent, sessions)
    for axis, name in enumerate(WINDOW_COLUMNS):
        values[position - len(sessions) + length, recent_code, axis] = _as_float(recent, name)
    last_seen = np.full(len(symbols), -1, dtype=np.int64)
    np.maximum.at(last_seen, seen_code, _session_positions(seen, sessions))
    np.maximum.at(last_seen, recent_code, position)
    last_close = np.full(len(symbols), np.nan)
    for table, codes in ((seen, seen_code), (recent, recent_code)):
        newest = last_seen[codes] == _session_positions(table, sessions)
        last_close[codes[newest]] = _as_float(table, "close")[newest]
    return BarCube(values, kept, symbols, last_close, last_seen, int(bars.version()))


def _encode_symbols(*tables: pa.Table) -> tuple[npt.NDArray[np.object_], list[npt.NDArray[np.int64]]]:
    """Give each row the position of its symbol among the sorted symbols of all tables."""
    chunks = [chunk for table in tables for chunk in table["symbol"].chunks]
    encoded = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[encoded.indices.to_numpy()]
    bounds = np.cumsum([table.num_rows for table in tables])[:-1]
    return encoded.dictionary.take(pa.array(order)).to_numpy(zero_copy_only=False), list(np.split(codes, bounds))


def _session_positions(table: pa.Table, sessions: Sequence[date]) -> npt.NDArray[np.int64]:
    days = table["session"].cast(pa.int32()).to_numpy()
    known = np.array([np.datetime64(session, "D").astype(np.int64) for session in sessions])
    positions: npt.NDArray[np.int64] = np.searchsorted(known, days)
    return positions


def _as_float(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = pc.fill_null(table[name], np.nan).to_numpy()
    return values
