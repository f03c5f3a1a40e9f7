"""Rows of an upload parted into bars and refused rows, a batch at a time.

A row is refused once, however many of its cells are at fault: `expectation` names the first rule that it broke, in the
order symbol, readable numbers, prices; `reason` names them all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError
from include.market.upload_dates import DateRules, encode_dates, read_sessions
from include.market.upload_numbers import Mask, read_numbers
from include.schema import BARS, PRICES, QUARANTINE, WINDOW_COLUMNS

SYMBOL_NOT_NULL = "symbol_not_null"
NUMBER_IS_READABLE = "number_is_readable"
PRICE_NOT_NULL = "price_not_null"
ROW_HAS_ALL_FIELDS = "row_has_all_fields"

UPLOAD_BARS = pa.schema(
    [pa.field("row_number", pa.int64()), *(BARS.field(name) for name in ("symbol", "session", *WINDOW_COLUMNS))]
)
REFUSED = pa.schema(
    [field for field in QUARANTINE if field.name not in ("upload_sha256", "quarantined_at", "resolved_by")]
)

_SHOWN_CHARS = 80
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_REASONS = {
    SYMBOL_NOT_NULL: "must not be blank",
    NUMBER_IS_READABLE: "must be a number",
    PRICE_NOT_NULL: "must not be missing",
}
_KEPT = pa.schema(
    [pa.field("position", pa.int64()), *(UPLOAD_BARS.field(name) for name in ("symbol", *WINDOW_COLUMNS))]
)


_Numbers = Mapping[str, tuple[pa.Array, Mask]]


class _Fault(NamedTuple):
    """One rule that rows of a batch may break, and which of them do."""

    expectation: str
    column: str
    mask: Mask


class RowSplitter:
    """Gathers the batches of one file; `finish` gives its bars and its refused rows.

    Parameters
    ----------
    headers
        Meaning → column name as it came.
    place
        File name, for messages.
    """

    def __init__(self, headers: Mapping[str, str], place: str) -> None:
        self._headers, self._place = headers, place
        self.rows = 0
        self._dates: list[pa.DictionaryArray] = []
        self._kept: list[pa.RecordBatch] = []
        self._refused: list[dict[str, Any]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Part one batch, its columns named by meaning."""
        symbols = _read_symbols(batch["symbol"], self._place_of("symbol"))
        present = [name for name in WINDOW_COLUMNS if name in self._headers]
        numbers = {name: read_numbers(batch[name], self._place_of(name)) for name in present}
        self._dates.append(encode_dates(batch["date"], self._place_of("date")))
        faults = _find_faults(symbols, numbers)
        bad = np.logical_or.reduce([fault.mask for fault in faults])
        self._keep(symbols, numbers, ~bad)
        if bad.any():
            self._refuse(batch, symbols, faults, np.flatnonzero(bad))
        self.rows += batch.num_rows

    @property
    def has_refused(self) -> bool:
        """Whether a row was refused so far."""
        return bool(self._refused)

    def finish(self, ragged: Sequence[tuple[int, str]], rules: DateRules) -> tuple[pa.Table, pa.Table]:
        """Settle dates and row numbers.

        Parameters
        ----------
        ragged
            Row number and text of each line with too few or too many fields.
        rules
            What settles the order of day and month.

        Returns
        -------
        tuple[pa.Table, pa.Table]
            UPLOAD_BARS and REFUSED, both in the file's order.
        """
        every_row = np.arange(1, self.rows + len(ragged) + 1)
        numbers = np.delete(every_row, [number - 1 for number, _ in ragged]) if ragged else every_row
        sessions = read_sessions(pa.chunked_array(self._dates, _ENCODED), numbers, rules).combine_chunks()
        kept = pa.Table.from_batches(self._kept, _KEPT)
        positions = kept["position"].to_numpy()
        bars = kept.drop_columns(["position"]).add_column(1, "session", sessions.take(pa.array(positions)))
        bars = bars.add_column(0, "row_number", pa.array(numbers[positions])).cast(UPLOAD_BARS)
        return bars, self._refused_table(ragged, numbers, sessions)

    def _place_of(self, meaning: str) -> str:
        return f"{self._place}, column {self._headers[meaning]}"

    def _keep(self, symbols: pa.Array, numbers: _Numbers, good: Mask) -> None:
        absent = (pa.nulls(len(symbols), pa.float64()), None)
        positions = pa.array(np.arange(self.rows, self.rows + len(symbols)))
        columns = [positions, symbols, *(numbers.get(name, absent)[0] for name in WINDOW_COLUMNS)]
        kept = pa.record_batch(columns, names=_KEPT.names)
        self._kept.append((kept if good.all() else kept.filter(pa.array(good))).cast(_KEPT))

    def _refuse(
        self, batch: pa.RecordBatch, symbols: pa.Array, faults: Sequence[_Fault], rows: npt.NDArray[np.int64]
    ) -> None:
        for index, cells in zip(rows.tolist(), batch.take(pa.array(rows)).to_pylist(), strict=True):
            broken = [fault for fault in faults if fault.mask[index]]
            refused = {
                "position": self.rows + index,
                "symbol": symbols[index].as_py() or None,
                "expectation": broken[0].expectation,
                "reason": "; ".join(self._give_reason(fault, cells[fault.column]) for fault in broken),
                "raw": _as_json({self._headers[name]: cell for name, cell in cells.items()}),
            }
            self._refused.append(refused)

    def _give_reason(self, fault: _Fault, cell: object) -> str:
        return f"{self._headers[fault.column]} {_REASONS[fault.expectation]}. Received: {_show(cell)}"

    def _refused_table(
        self, ragged: Sequence[tuple[int, str]], numbers: npt.NDArray[np.int64], sessions: pa.Array
    ) -> pa.Table:
        rows = [_refuse_ragged(number, line) for number, line in ragged]
        for refused in self._refused:
            position = refused.pop("position")
            rows.append(refused | {"row_number": int(numbers[position]), "session": sessions[position].as_py()})
        return pa.Table.from_pylist(sorted(rows, key=lambda row: row["row_number"]), REFUSED)


def _read_symbols(cells: pa.Array, place: str) -> pa.Array:
    """Strip each symbol of surrounding space and keep it otherwise; a null becomes a blank."""
    try:
        codes = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
        texts = codes.dictionary.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError("a symbol column must be text", value=cells.type, place=place) from None
    return pc.fill_null(pc.utf8_trim_whitespace(texts).take(codes.indices), "")


def _find_faults(symbols: pa.Array, numbers: _Numbers) -> list[_Fault]:
    """Give every rule of a row with the rows that break it, the rule that is named first at the front."""
    faults = [_Fault(SYMBOL_NOT_NULL, "symbol", np.asarray(pc.equal(symbols, "").to_numpy(zero_copy_only=False)))]
    faults += [_Fault(NUMBER_IS_READABLE, name, unreadable) for name, (_, unreadable) in numbers.items()]
    for name in PRICES:
        values, unreadable = numbers[name]
        faults.append(_Fault(PRICE_NOT_NULL, name, values.is_null().to_numpy(zero_copy_only=False) & ~unreadable))
    return faults


def _refuse_ragged(row_number: int, line: str) -> dict[str, Any]:
    reason = f"a row must have as many fields as the header. Received: {_show(line)}"
    raw = _as_json({"line": line})
    return {"row_number": row_number, "expectation": ROW_HAS_ALL_FIELDS, "reason": reason, "raw": raw}


def _show(cell: object) -> str:
    text = "null" if cell is None else str(cell)
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def _as_json(cells: Mapping[str, object]) -> str:
    """Write cells as they came; what JSON has no form for (dates, decimals, NaN) is written as its text."""
    plain = {
        name: str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in cells.items()
    }
    return json.dumps(plain, default=str, ensure_ascii=False)
