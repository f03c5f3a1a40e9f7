"""Rows of an upload, in bounded memory: bars by whole sessions, refused rows in the file's order.

A row is kept with the numbers of its symbol and date, as `TextCodes` gives them; what session a date is, is settled
when the whole file has been seen. Rows beyond the budget lie in a scratch file. A file in session order, the usual one,
is given out as it lies there; any other is put in order first, in pieces that fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.errors import InputError
from include.schema import BARS, QUARANTINE, WINDOW_COLUMNS
from include.uploads.spill import Spill
from include.uploads.text_codes import Codes

UPLOAD_BARS = pa.schema(
    [pa.field("row_number", pa.int64()), *(BARS.field(name) for name in ("symbol", "session", *WINDOW_COLUMNS))]
)
REFUSED = pa.schema(
    [field for field in QUARANTINE if field.name not in ("upload_sha256", "quarantined_at", "resolved_by")]
)

BUDGET_BYTES = 256 << 20
SESSION_ROWS = 4_000_000
"""How many rows one session may have: a session is judged in memory."""

CODED_BARS = pa.schema(
    [
        pa.field("row_number", pa.int64()),
        pa.field("symbol", pa.int32()),
        pa.field("date", pa.int32()),
        *(pa.field(name, pa.float64()) for name in WINDOW_COLUMNS),
    ]
)
CODED_REFUSED = pa.schema(
    [
        pa.field("row_number", pa.int64()),
        pa.field("symbol", pa.string()),
        pa.field("date", pa.int32()),
        *(pa.field(name, pa.string()) for name in ("expectation", "reason", "raw")),
    ]
)

_ENCODED = pa.dictionary(pa.int32(), pa.string())
_MAX_RUNS = 4096
_RUN_ROWS = 1000
"""Rows of a run from which on it is quicker moved whole than row by row."""

_PIECE_ROWS = 1 << 20
_MAX_PARTS = 200
"""Each is an open file."""


class RowStore:
    """Rows that were read and not yet used; a context manager that closes.

    Parameters
    ----------
    schema
        Of the coded rows.
    scratch
        Folder for rows beyond the budget; None for the system's temporary folder.
    budget_bytes
        How much stays in memory.
    """

    def __init__(self, schema: pa.Schema, scratch: Path | None = None, budget_bytes: int = BUDGET_BYTES) -> None:
        self._scratch, self._budget_bytes = scratch, budget_bytes
        self._rows = Spill(schema, scratch, budget_bytes)
        self._days = np.empty(0, np.int32)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return self._rows.num_rows

    def close(self) -> None:
        """Let go of memory and scratch file."""
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RefusedStore(RowStore):
    """Refused rows."""

    def __init__(self, scratch: Path | None = None, budget_bytes: int = BUDGET_BYTES) -> None:
        super().__init__(CODED_REFUSED, scratch, budget_bytes)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add rows, CODED_REFUSED, after all that are there."""
        self._rows.append(batch)

    def settle(self, days: Codes) -> None:
        """Say which day each date is, in days since 1970; a row with the date -1 has none."""
        self._days = days

    def batches(self) -> Iterator[pa.Table]:
        """Give the rows, REFUSED, in the file's order."""
        for batch in self._rows:
            codes = batch["date"].to_numpy()
            days = np.append(self._days, 0)[codes]  # -1 takes the last
            sessions = pa.array(days, pa.int32(), mask=codes < 0).cast(pa.date32())
            columns = {name: sessions if name == "session" else batch[name] for name in REFUSED.names}
            yield pa.table(columns, REFUSED)

    def to_table(self) -> pa.Table:
        """Give all rows at once, REFUSED; for files that are known to be small."""
        return pa.concat_tables([REFUSED.empty_table(), *self.batches()])


class BarStore(RowStore):
    """Rows whose cells could all be read."""

    def __init__(self, scratch: Path | None = None, budget_bytes: int = BUDGET_BYTES) -> None:
        super().__init__(CODED_BARS, scratch, budget_bytes)
        self._symbols = pa.array([], pa.string())
        self._counts = np.zeros(0, np.int64)
        # Dates in the order of the file, each run once; None when they change too often for the order to be sessions'.
        self._runs: list[Codes] | None = []
        self._is_ordered = False

    def append(self, batch: pa.RecordBatch) -> None:
        """Add rows, CODED_BARS, after all that are there."""
        codes = batch["date"].to_numpy()
        counts = np.bincount(codes, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        if self._runs is not None:
            runs = codes[np.flatnonzero(np.diff(codes, prepend=-1))]
            self._runs = [*self._runs, runs] if len(runs) <= _MAX_RUNS else None
        self._rows.append(batch)

    def settle(self, symbols: pa.Array, days: Codes, place: str) -> None:
        """Say what the numbers of symbols and dates mean.

        Parameters
        ----------
        symbols
            string (n_symbols,).
        days
            int32 (n_dates,), days since 1970; several dates may be one day.
        place
            File name, for the message.

        Raises
        ------
        InputError
            A session has more rows than can be judged in memory.
        """
        self._symbols, self._days = symbols, days
        self._counts = np.pad(self._counts, (0, len(days) - len(self._counts)))
        self._is_ordered = self._came_in_order()
        for session, rows in zip(*self._count_sessions(), strict=True):
            require_small_session(int(rows), str(_as_date(session)), place)

    @property
    def symbols(self) -> pa.Array:
        """Every symbol of these rows, string, by the number that stands for it in the dictionary of every group."""
        return self._symbols

    def most_of_a_date(self) -> int:
        """Count the rows of the date that has most, before it is known which session it is."""
        return int(self._counts.max(initial=0))

    def sessions(self) -> list[date]:
        """List the distinct sessions, oldest first."""
        return [_as_date(day) for day in self._count_sessions()[0]]

    def groups(self, max_rows: int = 2_000_000) -> Iterator[pa.Table]:
        """Give the rows by whole sessions, oldest first.

        Parameters
        ----------
        max_rows
            Of a group of several sessions; a group has at least one.

        Returns
        -------
        Iterator of pa.Table
            UPLOAD_BARS with symbol as dictionary<int32, string>; rows of a session in the file's order.
        """
        if not self._is_ordered:
            self._put_in_order()
        wanted = _group_sizes(self._count_sessions()[1], max_rows)
        for batches in _take_rows(iter(self._rows), wanted):
            yield self._decode(pa.Table.from_batches(batches, CODED_BARS))

    def to_table(self) -> pa.Table:
        """Give all rows at once, UPLOAD_BARS, in the file's order; for files that are known to be small."""
        table = self._decode(pa.Table.from_batches(list(self._rows), CODED_BARS)).cast(UPLOAD_BARS)
        numbers = table["row_number"].to_numpy()
        return table if (np.diff(numbers) > 0).all() else table.take(pa.array(np.argsort(numbers)))

    def _came_in_order(self) -> bool:
        if self._runs is None or not self.num_rows:
            return not self.num_rows
        return bool((np.diff(self._days[np.concatenate(self._runs)]) >= 0).all())

    def _count_sessions(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Give the days that have rows, oldest first, and the rows of each."""
        present = self._counts > 0
        days, at = np.unique(self._days[present], return_inverse=True)
        return days.astype(np.int64), np.bincount(at, self._counts[present], len(days)).astype(np.int64)

    def _decode(self, coded: pa.Table) -> pa.Table:
        """Put symbols and sessions in place of their numbers, without a copy of the rest.

        Both are one chunk: what needs one dictionary for all rows would compare those of many chunks, text by text.
        """
        columns: dict[str, pa.Array | pa.ChunkedArray] = {name: coded[name] for name in ("row_number", *WINDOW_COLUMNS)}
        columns["symbol"] = pa.DictionaryArray.from_arrays(coded["symbol"].combine_chunks(), self._symbols)
        columns["session"] = pa.array(self._days[coded["date"].to_numpy()]).cast(pa.date32())
        schema = UPLOAD_BARS.set(1, UPLOAD_BARS.field("symbol").with_type(_ENCODED))
        return pa.table({name: columns[name] for name in schema.names}, schema)

    def _put_in_order(self) -> None:
        """Rewrite the rows by session, those of a session in the file's order."""
        in_memory = self._rows.in_memory
        ordered = Spill(CODED_BARS, self._scratch, self._budget_bytes if in_memory else 0)
        for piece in [self._rows] if in_memory else self._part_by_session():
            for batch in self._sort(pa.Table.from_batches(list(piece), CODED_BARS)).to_batches(_PIECE_ROWS):
                ordered.append(batch)
            piece.close()
            pa.default_memory_pool().release_unused()
        self._rows.close()
        self._rows, self._is_ordered = ordered, True

    def _sort(self, table: pa.Table) -> pa.Table:
        days = self._days[table["date"].to_numpy()]
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        if len(starts) * _RUN_ROWS <= len(days):  # a few rows out of place: runs of a session are moved as they lie
            stops = np.append(starts[1:], len(days))
            runs = np.argsort(days[starts], kind="stable")
            return pa.concat_tables([table.slice(starts[run], stops[run] - starts[run]) for run in runs])
        return table.take(pa.array(np.argsort(days, kind="stable"))).combine_chunks()

    def _part_by_session(self) -> Iterator[Spill]:
        """Part the rows into files of whole sessions, each small enough to be sorted in memory."""
        days, counts = self._count_sessions()
        sizes = _group_sizes(counts, max(_PIECE_ROWS, self.num_rows // _MAX_PARTS))
        group_of_day = np.searchsorted(np.cumsum(sizes), np.cumsum(counts))
        group_of_code = group_of_day[np.minimum(np.searchsorted(days, self._days), len(days) - 1)]
        # Straight into files: a slice in memory would hold the whole piece that it was cut from.
        parts = [Spill(CODED_BARS, self._scratch, 0) for _ in sizes]
        for batches in _take_rows(iter(self._rows), _fixed_sizes(self.num_rows)):
            piece = pa.Table.from_batches(batches, CODED_BARS)
            groups = group_of_code[piece["date"].to_numpy()]
            order = np.argsort(groups, kind="stable")
            piece = piece.take(pa.array(order)).combine_chunks()
            starts = np.searchsorted(groups[order], np.arange(len(sizes) + 1))
            for part, start, stop in zip(parts, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                for batch in piece.slice(start, stop - start).to_batches():
                    part.append(batch)
        self._rows.close()
        yield from parts


def require_small_session(rows: int, session: str, place: str) -> None:
    """Refuse an upload of more rows of a session than can be judged in memory."""
    if rows > SESSION_ROWS:
        rule = f"an upload must have at most {SESSION_ROWS:,} rows a session"
        raise InputError(rule, value=f"{rows:,} of {session}", place=place)


def _as_date(day: int) -> date:
    return date.fromordinal(int(day) + date(1970, 1, 1).toordinal())


def _group_sizes(counts: npt.NDArray[np.int64], max_rows: int) -> list[int]:
    """Add up consecutive sessions' rows while they stay within the limit."""
    sizes: list[int] = []
    for count in counts.tolist():
        if sizes and sizes[-1] + count <= max_rows:
            sizes[-1] += count
        else:
            sizes.append(count)
    return sizes


def _fixed_sizes(rows: int) -> list[int]:
    return [min(_PIECE_ROWS, rows - start) for start in range(0, rows, _PIECE_ROWS)]


def _take_rows(batches: Iterator[pa.RecordBatch], sizes: Sequence[int]) -> Iterator[list[pa.RecordBatch]]:
    """Cut a sequence of batches into pieces of given numbers of rows."""
    rest: pa.RecordBatch | None = None
    for size in sizes:
        piece: list[pa.RecordBatch] = []
        missing = size
        while missing:
            batch = next(batches) if rest is None else rest
            piece.append(batch.slice(0, missing))
            rest = batch.slice(missing) if batch.num_rows > missing else None
            missing -= piece[-1].num_rows
        yield piece
