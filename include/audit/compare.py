"""Two tables of the same forecasts, cell by cell: equal to the bit, within rounding, or different.

Numbers that another code or another library made may differ in their last bits, so what is not equal is held to 1e-6
of the larger; words and what is missing have no near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.lake.runs import CONTENT, ORDER

TOLERANCE = 1e-6
"""Relative: the numbers of a graph are float32."""

SHOWN = 20
"""Differences that a comparison keeps, those that are not within rounding first."""

KEYS = tuple(name for name, _ in ORDER)
_ROW = "row"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """A cell that differs; `column` is `row` where one side has no such row, and `is_close` within rounding."""

    symbol: str
    target_session: date
    target: str
    column: str
    recorded: float | str | None
    computed: float | str | None
    is_close: bool

    def describe(self) -> str:
        """Say it in words."""
        place = f"{self.symbol} {self.target_session} {self.target} {self.column}"
        return f"{place}: recorded {_say(self.recorded)}, computed {_say(self.computed)}"


def _say(value: float | str | None) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, float) else value


@dataclass(frozen=True)
class Comparison:
    """Counts of recorded rows, and some of the cells that differ.

    Attributes
    ----------
    rows
        On either side.
    identical
        Of them, equal to the bit.
    close
        Of the others, those that differ by no more than `TOLERANCE`.
    """

    rows: int
    identical: int
    close: int
    differences: tuple[Difference, ...]


def compare_forecasts(recorded: pa.Table, computed: pa.Table) -> Comparison:
    """Compare the columns of `runs.CONTENT`, row by row of symbol, target session and target."""
    first, second, strays = _match_rows(recorded, computed)
    same, close = np.ones(first.num_rows, dtype=bool), np.ones(first.num_rows, dtype=bool)
    found: list[tuple[str, Mask, Mask]] = []
    for name in (name for name in CONTENT if name not in KEYS):
        equal, near = _compare_column(first[name], second[name])
        same &= equal
        close &= near
        found.append((name, ~equal, near))
    far = [
        each for name, unequal, near in found for each in _pick(first, second, name, unequal & ~near, is_close=False)
    ]
    near_by = [
        each for name, unequal, near in found for each in _pick(first, second, name, unequal & near, is_close=True)
    ]
    identical = int(same.sum())
    shown = (*strays, *far, *near_by)[:SHOWN]
    return Comparison(first.num_rows + len(strays), identical, int(close.sum()) - identical, shown)


def _match_rows(recorded: pa.Table, computed: pa.Table) -> tuple[pa.Table, pa.Table, list[Difference]]:
    """Put both into one order; rows that only one side has come as differences."""
    first, second = (_plain_texts(rows.select(CONTENT)).sort_by(ORDER) for rows in (recorded, computed))
    if first.num_rows == second.num_rows and all(first[name].equals(second[name]) for name in KEYS):
        return first, second, []
    names = [list(zip(*(rows[name].to_pylist() for name in KEYS), strict=True)) for rows in (first, second)]
    strays = [
        Difference(symbol, day, target, _ROW, "there" if side == 0 else None, "there" if side else None, False)
        for side in (0, 1)
        for symbol, day, target in _list_strays(names[side], set(names[1 - side]))
    ]
    kept = [_first_of_each(own, set(names[0]) & set(names[1])) for own in names]
    return first.filter(pa.array(kept[0])), second.filter(pa.array(kept[1])), strays


def _list_strays(
    own: Sequence[tuple[str, date, str]], others: set[tuple[str, date, str]]
) -> list[tuple[str, date, str]]:
    """List the rows that the other side does not have, or that come a second time."""
    seen: set[tuple[str, date, str]] = set()
    found = []
    for key in own:
        if key not in others or key in seen:
            found.append(key)
        seen.add(key)
    return found


def _first_of_each(own: Sequence[tuple[str, date, str]], shared: set[tuple[str, date, str]]) -> list[bool]:
    seen: set[tuple[str, date, str]] = set()
    kept = []
    for key in own:
        kept.append(key in shared and key not in seen)
        seen.add(key)
    return kept


def _plain_texts(rows: pa.Table) -> pa.Table:
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in rows.schema
    ]
    return rows.cast(pa.schema(fields)).combine_chunks()


def _compare_column(recorded: pa.ChunkedArray, computed: pa.ChunkedArray) -> tuple[Mask, Mask]:
    """Say which cells are equal, and which are equal or within rounding; both (n_rows,)."""
    absent, missing = (np.asarray(column.is_null()) for column in (recorded, computed))
    both, neither = absent & missing, ~(absent | missing)
    if not pa.types.is_floating(recorded.type):
        equal = both | (neither & np.asarray(pc.fill_null(pc.equal(recorded, computed), False)))
        return equal, equal
    first, second = (np.asarray(pc.fill_null(column, 0.0), dtype=np.float64) for column in (recorded, computed))
    equal = both | (neither & (first.view(np.int64) == second.view(np.int64)))
    scale = np.maximum(np.abs(first), np.abs(second))
    with np.errstate(invalid="ignore"):
        near = neither & (np.abs(first - second) <= TOLERANCE * scale)
    return equal, equal | near


def _pick(first: pa.Table, second: pa.Table, name: str, chosen: Mask, *, is_close: bool) -> list[Difference]:
    at = pa.array(np.flatnonzero(chosen)[:SHOWN])
    keys = [first[key].take(at).to_pylist() for key in KEYS]
    values = zip(*keys, first[name].take(at).to_pylist(), second[name].take(at).to_pylist(), strict=True)
    return [Difference(symbol, day, target, name, was, now, is_close) for symbol, day, target, was, now in values]
