"""Bars as they are read for training and scoring: pinned to a version, cut at a session, dense per symbol.

A window is the newest `lookback` sessions of the lake up to and including `as_of`. A session in which the symbol has
no row is a row of NaN, so that a model sees what was missing and when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.errors import NotFoundError
from include.lake.asof import read_rows
from include.lake.catalog import open_committed
from include.lake.dense import locate_sessions, read_floats
from include.lake.files import session_values
from include.lake.identity import NO_CHANGES, SymbolChanges
from include.lake.tables import BARS
from include.schema import TARGETS, WINDOW_COLUMNS

MOST_MISSING = 2
"""Sessions that a window may lack before its symbol is too short to be forecast, in training as in scoring."""


@dataclass(frozen=True)
class BarCube:
    """Bars of some sessions as one dense array.

    Attributes
    ----------
    values
        float32, or float64 where that was asked for, (n_sessions, n_symbols, 6), columns as `schema.WINDOW_COLUMNS`,
        NaN where there is no row.
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

    values: npt.NDArray[np.floating[Any]]
    sessions: list[date]
    symbols: npt.NDArray[np.object_]
    last_close: npt.NDArray[np.float64]
    last_seen: npt.NDArray[np.int64]
    bars_version: int

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """bool (n_sessions, n_symbols), true where the symbol has a row: no bar is without an open."""
        return np.asarray(~np.isnan(self.values[:, :, 0]))


@dataclass(frozen=True)
class BarWindows:
    """The newest sessions of each symbol as a model takes them.

    Attributes
    ----------
    values
        float32 (n_symbols, lookback, n_columns), the newest session last, NaN where there is no row.
    mask
        bool (n_symbols, lookback), true where the symbol has a row.
    symbols
        (n_symbols,), sorted: every symbol with a row in one of these sessions.
    sessions
        Oldest first; fewer than lookback where the table begins later.
    bars_version
        Version of the table that was read.
    """

    values: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    symbols: npt.NDArray[np.object_]
    sessions: list[date]
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
    newest: date = session_values(open_bars(lake))[-1].as_py()
    return newest


def sessions_up_to(bars: DeltaTable, as_of: date, *, count: int | None = None) -> list[date]:
    """Return the newest `count` sessions of the table that are not after `as_of`, oldest first.

    Raises
    ------
    NotFoundError
        `as_of` itself has no bars.
    """
    present = session_values(bars)
    present = present.filter(pc.less_equal(present, pa.scalar(as_of, pa.date32())))
    sessions: list[date] = present[-count if count else 0 :].to_pylist()
    if not sessions or sessions[-1] != as_of:
        newest = f"the newest before it is {sessions[-1]}" if sessions else "none before it"
        raise NotFoundError(f"session {as_of} must have bars", value=newest, place="bars")
    return sessions


def read_cube(
    bars: DeltaTable,
    sessions: Sequence[date],
    *,
    window: int | None = None,
    whole: int | None = None,
    changes: SymbolChanges = NO_CHANGES,
    precision: type[np.floating[Any]] = np.float32,
) -> BarCube:
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
    whole
        Read every column of the newest `whole` sessions alone (all of the window by default): of those before them in
        the window open and close, NaN in the other columns.
    changes
        Renames and redenominations; those known at the newest session are applied.
    precision
        Of `values`: the lake's own is float64, which a graph may ask for.
    """
    length = window or len(sessions)
    known = changes.known_at(sessions[-1]) if sessions else NO_CHANGES
    begins = max(len(sessions) - length, 0)
    full = max(len(sessions) - (whole or length), begins)
    parts = [
        (("close",), sessions[:begins]),
        (TARGETS, sessions[begins:full]),
        (WINDOW_COLUMNS, sessions[full:]),
    ]
    tables = [
        read_rows(bars, some, ["session", "symbol", *columns], changes=known, as_of=date.max) for columns, some in parts
    ]
    names, codes = _encode_symbols(*tables)
    values = np.full((length, len(names), len(WINDOW_COLUMNS)), np.nan, dtype=precision)
    last_seen, last_close = np.full(len(names), -1, dtype=np.int64), np.full(len(names), np.nan)
    for (columns, some), table, code in zip(parts, tables, codes, strict=True):
        for session, start, stop in _split_sessions(table, some):
            rows, at, seen = table.slice(start, stop - start), code[start:stop], sessions.index(session)
            # Within a session a symbol comes once, and the sessions come oldest first.
            last_seen[at], last_close[at] = seen, read_floats(rows, "close")
            for axis, name in enumerate(WINDOW_COLUMNS):
                if seen >= begins and name in columns:
                    values[seen - len(sessions), at, axis] = read_floats(rows, name)
    return BarCube(values, list(sessions[begins:]), names, last_close, last_seen, int(bars.version()))


def read_windows(
    bars: DeltaTable,
    as_of: date,
    *,
    lookback: int,
    columns: Sequence[str] = WINDOW_COLUMNS,
    symbols: Sequence[str] | None = None,
    changes: SymbolChanges = NO_CHANGES,
) -> BarWindows:
    """Read the newest `lookback` sessions up to `as_of` into one window a symbol.

    Parameters
    ----------
    bars
        The table, open at the version that is wanted.
    as_of
        The windows' last session.
    lookback
        Sessions in a window, at least 1.
    columns
        Prices, volume, market_cap, in the order of the last axis.
    symbols
        Some symbols; all by default.
    changes
        Renames and redenominations; those known at `as_of` are applied.

    Raises
    ------
    NotFoundError
        `as_of` has no bars.
    """
    sessions = sessions_up_to(bars, as_of, count=lookback)
    # The open says where a row is, whatever columns are wanted.
    needed = ["session", "symbol", *dict.fromkeys((*columns, "open"))]
    rows = read_rows(bars, sessions, needed, symbols=symbols, changes=changes, as_of=as_of)
    names, (code,) = _encode_symbols(rows)
    values = np.full((len(names), lookback, len(columns)), np.nan, dtype=np.float32)
    position = locate_sessions(rows, sessions) + lookback - len(sessions)
    _scatter(values, code, position, rows, columns)
    mask = np.zeros(values.shape[:2], dtype=bool)
    mask[code, position] = True
    return BarWindows(values, mask, names, sessions, int(bars.version()))


def _scatter(
    values: npt.NDArray[np.floating[Any]],
    first: npt.NDArray[np.integer],
    second: npt.NDArray[np.integer],
    rows: pa.Table,
    columns: Sequence[str],
) -> None:
    """Write each row's columns to its place (first, second) of a dense array."""
    flat = values.reshape(-1, len(columns))
    place = first.astype(np.int64) * values.shape[1] + second
    for axis, name in enumerate(columns):
        flat[place, axis] = read_floats(rows, name)


def _split_sessions(table: pa.Table, sessions: Sequence[date]) -> Iterator[tuple[date, int, int]]:
    """Give the first row of each session and the first after it; rows come by session, oldest first."""
    days = table["session"].cast(pa.int32()).to_numpy()
    known = np.array(sessions, dtype="datetime64[D]").astype(days.dtype)
    return zip(sessions, np.searchsorted(days, known), np.searchsorted(days, known, side="right"), strict=True)


def _encode_symbols(*tables: pa.Table) -> tuple[npt.NDArray[np.object_], list[npt.NDArray[np.int32]]]:
    """Give each row the position of its symbol among the sorted symbols of all tables."""
    chunks = [chunk for table in tables for chunk in table["symbol"].chunks]
    union, places = _unite_dictionaries([chunk.dictionary for chunk in chunks])
    indices = [place[chunk.indices.to_numpy()] for place, chunk in zip(places, chunks, strict=True)]
    # A dictionary may hold names of rows that were filtered out.
    used = np.zeros(len(union), dtype=bool)
    for some in indices:
        used[some] = True
    order = pc.sort_indices(union).to_numpy()
    order = order[used[order]]
    rank = np.empty(len(union), dtype=np.int32)
    rank[order] = np.arange(len(order))
    codes = rank[np.concatenate([np.empty(0, dtype=np.int32), *indices])]
    bounds = np.cumsum([table.num_rows for table in tables])[:-1]
    return union.take(pa.array(order)).to_numpy(zero_copy_only=False), list(np.split(codes, bounds))


def _unite_dictionaries(dictionaries: Sequence[pa.Array]) -> tuple[pa.Array, list[npt.NDArray[np.int32]]]:
    """Return all names once, and for each dictionary where its names are among them; one like the last costs nothing.

    To compare a million names takes milliseconds, to hash them a good part of a second.
    """
    distinct: list[pa.Array] = []
    which = []
    for dictionary in dictionaries:
        if not distinct or not (dictionary is distinct[-1] or dictionary.equals(distinct[-1])):
            distinct.append(dictionary)
        which.append(len(distinct) - 1)
    own = [pa.DictionaryArray.from_arrays(np.arange(len(each), dtype=np.int32), each) for each in distinct]
    united = pa.chunked_array(own, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
    places = [chunk.indices.to_numpy() for chunk in united.chunks]
    return (united.chunk(0).dictionary if own else pa.array([], pa.string())), [places[number] for number in which]
