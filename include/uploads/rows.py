"""Rows of an upload parted into bars and refused rows, a block at a time.

A row is refused once, however many of its cells are at fault: `expectation` names the first rule that it broke, in the
order symbol, readable numbers, prices; `reason` names them all. `part_rows` knows nothing but its block, so blocks can
be parted at the same time; `RowGatherer` takes them in the file's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError
from include.schema import PRICES, WINDOW_COLUMNS
from include.uploads.dates import DateRules, DateTexts, encode_dates
from include.uploads.numbers import Mask, read_numbers
from include.uploads.refusals import ROW_HAS_ALL_FIELDS, Fault, describe_ragged, describe_refusals
from include.uploads.row_store import (
    CODED_BARS,
    CODED_REFUSED,
    REFUSED,
    UPLOAD_BARS,
    BarStore,
    RefusedStore,
    require_small_session,
)
from include.uploads.text_codes import Codes, TextCodes

__all__ = ["REFUSED", "ROW_HAS_ALL_FIELDS", "UPLOAD_BARS", "RowGatherer", "part_rows"]

SYMBOL_NOT_NULL = "symbol_not_null"
SYMBOL_IS_TEXT = "symbol_is_text"
NUMBER_IS_READABLE = "number_is_readable"
PRICE_NOT_NULL = "price_not_null"

SYMBOL_CHARS = 200
_MAX_SYMBOLS = 1_000_000
_CONTROL = r"[\x00-\x1f\x7f]"
_WORDS = {
    SYMBOL_NOT_NULL: "must not be blank",
    SYMBOL_IS_TEXT: f"must have no control character and at most {SYMBOL_CHARS} characters",
    NUMBER_IS_READABLE: "must be a number",
    PRICE_NOT_NULL: "must not be missing",
}
_Numbers = Mapping[str, tuple[pa.Array, Mask]]
Offsets = npt.NDArray[np.int64]
Ragged = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Columns:
    """What the columns of a file or part are called.

    Parameters
    ----------
    headers
        Meaning → column name as it came.
    place
        File name, for messages.
    """

    headers: Mapping[str, str]
    place: str

    def place_of(self, meaning: str) -> str:
        """Name the file and the column."""
        return f"{self.place}, column {self.headers[meaning]}"


@dataclass(frozen=True)
class PartedRows:
    """One block's rows; offsets count its data rows from 0, ragged ones too.

    Parameters
    ----------
    rows
        Data rows in the block.
    offsets
        Of the rows that have all fields, (n_whole,).
    dates
        Of the rows that have all fields, (n_whole,).
    kept
        Which of the rows that have all fields are bars, (n_whole,).
    symbols
        Of the bars, dictionary<int32, string>.
    numbers
        float64 columns of the bars, in the order of WINDOW_COLUMNS.
    refused
        REFUSALS, by offset.
    """

    rows: int
    offsets: Offsets
    dates: pa.DictionaryArray
    kept: Mask
    symbols: pa.DictionaryArray
    numbers: list[pa.Array]
    refused: pa.RecordBatch | None


def part_rows(batch: pa.RecordBatch, ragged: Ragged, columns: Columns) -> PartedRows:
    """Part one block.

    Parameters
    ----------
    batch
        The rows that have all fields, columns named by meaning.
    ragged
        Offset and text of each other row.
    columns
        What the columns are called, for messages.

    Raises
    ------
    InputError
        A column's type cannot hold what it must.
    """
    rows = batch.num_rows + len(ragged)
    offsets = np.arange(rows)
    if ragged:
        offsets = np.delete(offsets, [offset for offset, _ in ragged])
    symbols = _read_symbols(batch["symbol"], columns.place_of("symbol"))
    present = [name for name in WINDOW_COLUMNS if name in columns.headers]
    numbers = {name: read_numbers(batch[name], columns.place_of(name)) for name in present}
    faults = _find_faults(symbols, numbers)
    bad = np.logical_or.reduce([np.zeros(batch.num_rows, bool), *(fault.mask for fault in faults)])
    refused = None
    if faults:
        rows_at_fault = np.flatnonzero(bad)
        named = [fault._replace(mask=fault.mask[rows_at_fault]) for fault in faults]
        taken = pa.array(rows_at_fault)
        texts = symbols.take(taken).dictionary_decode()
        refused = describe_refusals(batch.take(taken), offsets[rows_at_fault], texts, named, columns.headers)
    values = [
        numbers[name][0] if name in numbers else pa.nulls(batch.num_rows, pa.float64()) for name in WINDOW_COLUMNS
    ]
    keep = pa.array(~bad) if faults else None
    return PartedRows(
        rows=rows,
        offsets=offsets,
        dates=encode_dates(batch["date"], columns.place_of("date")),
        kept=~bad,
        # Encoded anew, so that the texts of refused symbols are forgotten.
        symbols=symbols if keep is None else symbols.filter(keep).dictionary_decode().dictionary_encode(),
        numbers=values if keep is None else [column.filter(keep) for column in values],
        refused=_merge(refused, describe_ragged(ragged)) if ragged else refused,
    )


class RowGatherer:
    """Gathers the blocks of one upload in the file's order.

    Parameters
    ----------
    rules
        What settles the order of day and month.
    scratch
        Folder for rows that don't fit into memory; None for the system's temporary folder.
    """

    def __init__(self, rules: DateRules, scratch: Path | None = None) -> None:
        self.rows = 0
        self.bars, self.refused = BarStore(scratch), RefusedStore(scratch)
        self._place = rules.place
        self._dates = DateTexts(rules)
        self._symbols = TextCodes("symbols", _MAX_SYMBOLS, rules.place)

    def add(self, parted: PartedRows, part: str | None = None) -> None:
        """Take the next block; `part` is the file's name within a folder of parts.

        Raises
        ------
        InputError
            A cell that is no date; too many distinct symbols or dates, or rows of one date.
        """
        row_numbers = parted.offsets + (self.rows + 1)
        dates = self._dates.add(parted.dates, row_numbers)
        keep = slice(None) if len(parted.symbols) == len(dates) else parted.kept
        codes = self._symbols.encode(parted.symbols.dictionary)
        columns = [
            pa.array(row_numbers[keep]),
            pa.array(codes[parted.symbols.indices.to_numpy()]),
            pa.array(dates[keep]),
            *parted.numbers,
        ]
        self.bars.append(pa.record_batch(columns, schema=CODED_BARS))
        require_small_session(self.bars.most_of_a_date(), "one date", self._place)
        if parted.refused is not None:
            self.refused.append(self._code_refused(parted, parted.refused, dates, part))
        self.rows += parted.rows

    def settle(self) -> None:
        """Settle what every date means.

        Raises
        ------
        InputError
            No row at all; forms of date that do not go together; an order of day and month that nothing settles.
        """
        if self.rows == 0:
            raise InputError("an upload must have at least one row", value="a header and no rows", place=self._place)
        days = self._dates.settle()
        self.bars.settle(self._symbols.texts, days, self._place)
        self.refused.settle(days)

    def close(self) -> None:
        """Let go of all rows."""
        self.bars.close()
        self.refused.close()

    def _code_refused(
        self, parted: PartedRows, refused: pa.RecordBatch, dates: Codes, part: str | None
    ) -> pa.RecordBatch:
        offsets = refused["offset"].to_numpy()
        date_of_offset = np.full(parted.rows, -1, np.int32)
        date_of_offset[parted.offsets] = dates
        reason = refused["reason"]
        if part is not None:
            reason = pc.binary_join_element_wise(f"{part}: ", reason, "")
        texts = {"symbol": refused["symbol"], "expectation": refused["expectation"], "reason": reason}
        coded = {"row_number": pa.array(offsets + (self.rows + 1)), "date": pa.array(date_of_offset[offsets])}
        columns = texts | coded | {"raw": refused["raw"]}
        return pa.record_batch([columns[name] for name in CODED_REFUSED.names], schema=CODED_REFUSED)


def _read_symbols(cells: pa.Array, place: str) -> pa.DictionaryArray:
    """Strip each symbol of surrounding space and keep it otherwise; a null becomes a blank."""
    try:
        codes = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
        texts = pc.fill_null(pc.utf8_trim_whitespace(codes.dictionary.cast(pa.string())), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError("a symbol column must be text", value=cells.type, place=place) from None
    indices = codes.indices.cast(pa.int32())
    if indices.null_count:
        indices = pc.fill_null(indices, len(texts))
        texts = pa.concat_arrays([texts, pa.array([""])])
    return pa.DictionaryArray.from_arrays(indices, texts)


def _find_faults(symbols: pa.DictionaryArray, numbers: _Numbers) -> list[Fault]:
    """Give every rule that rows break with those rows, the rule that is named first at the front."""
    texts = symbols.dictionary
    blank, odd = pc.equal(texts, ""), _is_odd(texts)
    codes = symbols.indices.to_numpy()
    faults = [
        _fault(rule, "symbol", _as_mask(broken)[codes] if len(texts) else np.zeros(0, bool))
        for rule, broken in ((SYMBOL_NOT_NULL, blank), (SYMBOL_IS_TEXT, odd))
        if broken is not None
    ]
    faults += [_fault(NUMBER_IS_READABLE, name, unreadable) for name, (_, unreadable) in numbers.items()]
    for name in PRICES:
        values, unreadable = numbers[name]
        if values.null_count:
            faults.append(_fault(PRICE_NOT_NULL, name, _as_mask(values.is_null()) & ~unreadable))
    return [fault for fault in faults if fault.mask.any()]


def _fault(rule: str, column: str, mask: Mask) -> Fault:
    return Fault(rule, column, _WORDS[rule], mask)


def _is_odd(texts: pa.Array) -> pa.Array | None:
    """Tell which symbols have control characters or are too long; None where all are fine."""
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest <= SYMBOL_CHARS and not ((data < 0x20) | (data == 0x7F)).any():
        return None
    return pc.or_(pc.match_substring_regex(texts, _CONTROL), pc.greater(pc.utf8_length(texts), SYMBOL_CHARS))


def _merge(refused: pa.RecordBatch | None, ragged: pa.RecordBatch) -> pa.RecordBatch:
    if refused is None:
        return ragged
    both = pa.concat_batches([refused, ragged])
    return both.take(pa.array(np.argsort(both["offset"].to_numpy(), kind="stable")))


def _as_mask(flags: pa.Array) -> Mask:
    return np.asarray(flags.to_numpy(zero_copy_only=False), dtype=bool)
