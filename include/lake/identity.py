"""Who a symbol became: renames and redenominations from a small table that a person edits.

The table is applied when bars are read and never rewrites what came. A line says that from `session` on `symbol` is
called `successor`, and that one price of before counts `factor` prices of after. So rows of `symbol` before that
session are read as rows of `successor`; its own rows from then on are left out, as the name has been given up. Only
lines whose session is not after the newest session that is read are applied: no reader knows of a change before it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.schema import PRICES

_EPOCH = date(1970, 1, 1)

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class SymbolChange:
    """One line of the table.

    Attributes
    ----------
    symbol, successor
        The name before and the name after; the same where only the unit changed.
    session
        The first session under the new name or in the new unit.
    factor
        Prices before `session` are multiplied by it. 1000 old coins for a new one: 1000; a two-for-one split: 0.5.
    volume_in
        `units`: volume counts coins or shares, and is divided by the factor. `quote`: it counts money, and stays.
    """

    symbol: str
    successor: str
    session: date
    factor: float = 1.0
    volume_in: str = "units"
    note: str = ""


@dataclass(frozen=True)
class SymbolChanges:
    """All lines, oldest session first, and the SHA-256 of the file that they came from (None without a file)."""

    lines: tuple[SymbolChange, ...] = ()
    sha256: str | None = field(default=None, compare=False)

    def known_at(self, as_of: date) -> SymbolChanges:
        """Return the changes that have happened by a session."""
        return SymbolChanges(tuple(line for line in self.lines if line.session <= as_of), self.sha256)

    def predecessors(self, symbols: Iterable[str]) -> set[str]:
        """Return these symbols and every symbol whose rows may be read as theirs."""
        found = set(symbols)
        for line in reversed(self.lines):
            if line.successor in found:
                found.add(line.symbol)
        return found

    def successors(self) -> dict[str, str]:
        """Return of each name that has been given up, and not been taken again, what came after it."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.symbol != line.successor:
                found[line.symbol] = line.successor
                found.pop(line.successor, None)
        return found


NO_CHANGES = SymbolChanges()


def apply_changes(rows: pa.Table, changes: SymbolChanges, *, as_of: date) -> pa.Table:
    """Read bars under the names and in the units that hold at a session.

    Parameters
    ----------
    rows
        session (date32), symbol (dictionary or text), and any of the prices and volume.
    changes
        Those after `as_of` are left aside.
    as_of
        The newest session that is read.

    Returns
    -------
    pyarrow.Table
        The columns of `rows`; no symbol twice in a session: a successor's own row stands before one that came by a
        rename, that of fewer renames before one of more, then the first in `rows`. market_cap counts money and stays.
    """
    lines = changes.known_at(as_of).lines
    if not lines or not rows.num_rows:
        return rows
    encoded = _encode(rows["symbol"])
    names: list[str] = encoded.dictionary.to_pylist()
    if not {line.symbol for line in lines} & set(names):
        return rows
    named = {name for line in lines for name in (line.symbol, line.successor)}
    names += sorted(named - set(names))
    place = {name: position for position, name in enumerate(names)}
    code = encoded.indices.to_numpy().astype(np.int32)
    days = rows["session"].cast(pa.int32()).to_numpy()
    touched = np.flatnonzero(np.isin(code, [place[name] for name in named]))
    moved = _move_rows(code[touched], days[touched], lines, place)
    code[touched] = moved.code
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[touched] = moved.stands
    rows = _set_column(rows, "symbol", pa.DictionaryArray.from_arrays(pa.array(code), pa.array(names, pa.string())))
    for name, factor in (*((price, moved.price) for price in PRICES), ("volume", moved.volume)):
        if name in rows.column_names:
            scale = np.ones(rows.num_rows)
            scale[touched] = factor
            rows = _set_column(rows, name, pc.multiply(rows[name], pa.array(scale)))
    return rows if keep.all() else rows.filter(pa.array(keep))


@dataclass(frozen=True)
class _Moved:
    """What becomes of the rows that a change touches, each array (n_touched,)."""

    code: Codes
    price: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    stands: npt.NDArray[np.bool_]


def _move_rows(
    own: Codes, days: npt.NDArray[np.int32], lines: tuple[SymbolChange, ...], place: dict[str, int]
) -> _Moved:
    """Follow each row from name to name, session by session."""
    code, count = own.copy(), len(own)
    price, volume = np.ones(count), np.ones(count)
    hops, given_up = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=bool)
    for session, together in groupby(lines, key=lambda line: line.session):
        before = days < (session - _EPOCH).days
        was = code.copy()  # changes of one session happen at once
        for line in together:
            symbol, successor = place[line.symbol], place[line.successor]
            rows = before & (was == symbol)
            code[rows] = successor
            price[rows] *= line.factor
            volume[rows] /= line.factor if line.volume_in == "units" else 1.0
            if symbol != successor:
                hops[rows] += 1
                given_up[~before & (own == symbol)] = True
                given_up[~before & (own == successor)] = False  # the name is taken again
    return _Moved(code, price, volume, ~given_up & _is_first(code, days, hops, given_up))


def _is_first(
    code: Codes, days: npt.NDArray[np.int32], hops: npt.NDArray[np.int32], given_up: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether a row is the one that stands for its symbol and session: its own before one that came by a rename."""
    order = np.lexsort((hops, given_up, days, code))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(code[order]) != 0) | (np.diff(days[order]) != 0)
    result = np.zeros(len(order), dtype=bool)
    result[order] = first
    return result


def _encode(column: pa.ChunkedArray) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.unify_dictionaries().combine_chunks()


def _set_column(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)
