"""The rows of an answer, gathered in time order and written by symbol: the CSV that a chart reads.

A symbol has one row a date, so (symbol, index) is unique however dirty the upload was: of a refused row only what has a
date of its own is in the answer. Rows beyond the budget wait in a scratch file, and are put in order a range of symbols
at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from include.answers.forecast import STATUSES, Forecasts, say_reason
from include.ingest.keys import rank_texts
from include.schema import Status
from include.uploads.spill import Spill
from include.uploads.text_codes import TextCodes

ANSWER = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("date", pa.date32()),
        pa.field("pred_open", pa.float64()),
        pa.field("val_open", pa.float64()),
        pa.field("pred_close", pa.float64()),
        pa.field("val_close", pa.float64()),
        pa.field("last_close", pa.float64()),
        pa.field("as_of", pa.date32()),
        pa.field("status", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("model_version", pa.int64()),
    ]
)
"""The first five are a contract with charts that exist; what is after them may grow."""

_NUMBERS = ("pred_open", "val_open", "pred_close", "val_close", "last_close")
_CODED = pa.schema(
    [
        pa.field("symbol", pa.int32()),
        pa.field("day", pa.int32()),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        pa.field("as_of", pa.int32()),
        pa.field("status", pa.int8()),
        pa.field("count", pa.int32()),
        pa.field("refusal", pa.string()),
    ]
)
_REFUSED = STATUSES.index(Status.QUARANTINED)
_BUDGET_BYTES = 256 << 20
_PART_ROWS = 1 << 20
_MAX_PARTS = 200
"""Each is an open file."""

_CSV_ROWS = 1 << 15
_MAX_SYMBOLS = 2_000_000
"""Among rows that stand and refused rows: each reader of an upload has a limit of half of it."""


@dataclass(frozen=True)
class Written:
    """What the CSV holds: rows, by status, and how many have a forecast of the open."""

    rows: int
    statuses: dict[str, int]


class Sheet:
    """Rows of one answer; a context manager that lets go of them.

    Parameters
    ----------
    symbols
        string, the names of the symbols of rows that stand, by code.
    place
        File name, for messages.
    scratch
        Folder for rows beyond the budget.
    """

    def __init__(self, symbols: pa.Array, place: str, scratch: Path) -> None:
        self._symbols = TextCodes("symbols", _MAX_SYMBOLS, place)
        self._symbols.encode(symbols)  # refused rows may bring others, which come after these
        self._scratch = scratch
        self._rows = Spill(_CODED, scratch, _BUDGET_BYTES)
        self._counts = np.zeros(0, np.int64)

    def add(self, found: Forecasts) -> None:
        """Add forecasts, and rows that could not be forecast."""
        numbers = [found.predicted[:, 0], found.actual[:, 0], found.predicted[:, 1], found.actual[:, 1]]
        columns = [
            pa.array(found.codes),
            pa.array(found.days),
            *(pa.array(column, from_pandas=True) for column in (*numbers, found.last_close)),
            pa.array(found.as_of, mask=found.as_of < 0),
            pa.array(found.status),
            pa.array(found.count),
            pa.nulls(len(found.codes), pa.string()),
        ]
        self._append(pa.record_batch(columns, schema=_CODED))

    def add_refused(self, rows: pa.Table) -> None:
        """Add refused rows: row_number, symbol, session, reason; those without symbol or session have no place here."""
        rows = rows.filter(pc.and_(pc.is_valid(rows["symbol"]), pc.is_valid(rows["session"])))
        if not rows.num_rows:
            return
        count = rows.num_rows
        words = pc.binary_join_element_wise("row ", rows["row_number"].cast(pa.string()), ": ", rows["reason"], "")
        columns = {
            "symbol": pa.array(self._symbols.encode(rows["symbol"].cast(pa.string()).combine_chunks())),
            "day": rows["session"].cast(pa.int32()).combine_chunks(),
            "status": pa.array(np.full(count, _REFUSED, np.int8)),
            "count": pa.array(np.zeros(count, np.int32)),
            "refusal": words.combine_chunks(),
        }
        full = [columns.get(field.name, pa.nulls(count, field.type)) for field in _CODED]
        self._append(pa.record_batch(full, schema=_CODED))

    def write(self, out: IO[bytes], *, lookback: int, model_version: int) -> Written:
        """Write the CSV, by symbol and date."""
        symbols = self._symbols.texts
        rank = rank_texts(symbols)
        options = pacsv.WriteOptions(batch_size=_CSV_ROWS)
        statuses: Counter[str] = Counter()
        total = 0
        with pacsv.CSVWriter(out, ANSWER, write_options=options) as writer:
            for part in self._parts(rank):
                rows = _put_in_order(part, rank)
                table = _decode(rows, symbols, lookback, model_version)
                writer.write_table(table)
                statuses.update(_count_statuses(rows))
                total += table.num_rows
        return Written(total, dict(statuses.most_common()))

    def close(self) -> None:
        """Let go of memory and scratch file."""
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, batch: pa.RecordBatch) -> None:
        counts = np.bincount(batch["symbol"].to_numpy(), minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        self._rows.append(batch)

    def _parts(self, rank: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
        """Give all rows in ranges of symbols, each small enough to be sorted in memory."""
        size = max(_PART_ROWS, self._rows.num_rows // _MAX_PARTS)
        if self._rows.num_rows <= size:
            yield pa.Table.from_batches(list(self._rows), _CODED)
            return
        ordered = np.empty(len(rank), np.int64)
        ordered[rank] = self._counts
        part_of = ((np.cumsum(ordered) - 1) // size)[rank]
        parts = [Spill(_CODED, self._scratch, 0) for _ in range(int(part_of.max()) + 1)]
        try:
            for batch in self._rows:
                of = part_of[batch["symbol"].to_numpy()]
                for number in np.unique(of).tolist():
                    parts[number].append(batch.filter(pa.array(of == number)))
            for part in parts:
                yield pa.Table.from_batches(list(part), _CODED)
                part.close()
        finally:
            for part in parts:
                part.close()


def _put_in_order(rows: pa.Table, rank: npt.NDArray[np.int64]) -> pa.Table:
    """Sort by symbol and date, and leave out a refused row whose date another row of its symbol has."""
    key = (rank[rows["symbol"].to_numpy()] << 32) + rows["day"].to_numpy().astype(np.int64)
    is_refused = rows["status"].to_numpy() == _REFUSED
    order = np.lexsort((is_refused, key))
    keep = np.diff(key[order], prepend=-1) != 0
    return rows.take(pa.array(order[keep]))


def _decode(rows: pa.Table, symbols: pa.Array, lookback: int, model_version: int) -> pa.Table:
    codes = rows["symbol"].to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=np.int32(-1)) != 0)
    lengths = np.diff(np.append(starts, len(codes)))
    columns: dict[str, pa.Array | pa.ChunkedArray] = {name: rows[name] for name in _NUMBERS}
    columns |= {
        "symbol": symbols.take(rows["symbol"].combine_chunks()),
        "index": pa.array(np.arange(len(codes)) - np.repeat(starts, lengths)),
        "date": rows["day"].cast(pa.date32()),
        "as_of": rows["as_of"].cast(pa.date32()),
        "status": pa.array([status.value for status in STATUSES]).take(rows["status"].combine_chunks()),
        "reason": pc.coalesce(rows["refusal"], _say_reasons(rows, lookback)),
        "model_version": pa.repeat(pa.scalar(model_version, pa.int64()), len(codes)),
    }
    return pa.table({name: columns[name] for name in ANSWER.names}, ANSWER)


def _say_reasons(rows: pa.Table, lookback: int) -> pa.Array:
    """Say why each row has its status, every distinct reason put into words once."""
    both = rows["status"].to_numpy().astype(np.int64) << 32 | rows["count"].to_numpy()
    distinct, at = np.unique(both, return_inverse=True)
    words = [say_reason(each >> 32, each & 0xFFFFFFFF, lookback) for each in distinct.tolist()]
    return pa.array(words, pa.string()).take(pa.array(at))


def _count_statuses(rows: pa.Table) -> dict[str, int]:
    counts = np.bincount(rows["status"].to_numpy(), minlength=len(STATUSES)).tolist()
    return {status.value: count for status, count in zip(STATUSES, counts, strict=True) if count}
