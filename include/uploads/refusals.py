"""What is kept of a refused row: the first rule that it broke, what all its faults are, and its cells as they came.

Built column by column, since a file can be refused by the million; only cells with quotes, escapes or characters beyond
ASCII are written one at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.uploads.numbers import Mask

ROW_HAS_ALL_FIELDS = "row_has_all_fields"

SHOWN_CHARS = 80
KEPT_CHARS = 1 << 16
"""Of a cell or a line in `raw`; the upload itself is kept whole."""

REFUSALS = pa.schema(
    [
        pa.field("offset", pa.int64()),
        pa.field("symbol", pa.string()),
        pa.field("expectation", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("raw", pa.string()),
    ]
)
"""Refused rows of one block; `offset` is the row's position among the block's data rows."""


class Fault(NamedTuple):
    """One rule that rows of a block may break, and which of them do."""

    expectation: str
    column: str
    words: str
    mask: Mask


def describe_refusals(
    cells: pa.RecordBatch,
    offsets: npt.NDArray[np.int64],
    symbols: pa.Array,
    faults: Sequence[Fault],
    headers: Mapping[str, str],
) -> pa.RecordBatch:
    """Describe rows with cells at fault.

    Parameters
    ----------
    cells
        The refused rows as they came, columns named by meaning.
    offsets
        Position of each among the block's data rows, (n_rows,).
    symbols
        string (n_rows,), blank where there is none.
    faults
        With masks of these rows, (n_rows,); the one that is named first at the front; each row has one at least.
    headers
        Meaning → column name as it came.

    Returns
    -------
    pa.RecordBatch
        REFUSALS.
    """
    first = np.argmax(np.stack([fault.mask for fault in faults]), axis=0)
    names = pa.array([fault.expectation for fault in faults], pa.string())
    reasons = [
        pc.if_else(pa.array(fault.mask), _reason(headers[fault.column], fault.words, cells[fault.column]), None)
        for fault in faults
    ]
    columns = [
        pa.array(offsets, pa.int64()),
        pc.if_else(pc.equal(symbols, ""), None, _cut(symbols)),
        names.take(pa.array(first)),
        pc.binary_join_element_wise(*reasons, "; ", null_handling="skip"),
        _as_json(cells, headers),
    ]
    return pa.record_batch(columns, schema=REFUSALS)


def describe_ragged(lines: Sequence[tuple[int, str]]) -> pa.RecordBatch:
    """Describe lines whose fields could not be told apart.

    Parameters
    ----------
    lines
        Position among the block's data rows, and text.
    """
    texts = pa.array([line for _, line in lines], pa.string())
    rule = pa.array(["a row must have as many fields as the header. Received: "] * len(lines), pa.string())
    columns = [
        pa.array([offset for offset, _ in lines], pa.int64()),
        pa.nulls(len(lines), pa.string()),
        pa.array([ROW_HAS_ALL_FIELDS] * len(lines), pa.string()),
        pc.binary_join_element_wise(rule, _show(texts), ""),
        pc.binary_join_element_wise('{"line": ', _quote_json(texts), "}", ""),
    ]
    return pa.record_batch(columns, schema=REFUSALS)


def _reason(header: str, words: str, cells: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(f"{header} {words}. Received: ", _show(_as_text(cells)), "")


def _as_json(cells: pa.RecordBatch, headers: Mapping[str, str]) -> pa.Array:
    parts: list[object] = []
    for name in cells.schema.names:
        mark = ", " if parts else "{"
        parts += [f"{mark}{encode_basestring(headers[name])}: ", _json_cells(cells[name])]
    return pc.binary_join_element_wise(*parts, "}", "")


def _json_cells(cells: pa.Array) -> pa.Array:
    """Write cells as JSON; what it has no form for (dates, decimals, NaN) is written as its text."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type):
        return pc.fill_null(_quote_json(cells), "null")
    return pa.array([_json_cell(cell) for cell in cells.to_pylist()], pa.string())


def _json_cell(cell: object) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        cell = str(cell)
    return json.dumps(cell, default=str, ensure_ascii=False)


def _as_text(cells: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not pa.types.is_string(cells.type):
        cells = pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())
    return pc.fill_null(cells, "null")


def _show(texts: pa.Array) -> pa.Array:
    """Quote texts as Python does, cut at 80 characters."""
    longer = pc.greater(pc.utf8_length(texts), SHOWN_CHARS)
    if pc.any(longer).as_py():
        cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, SHOWN_CHARS), "...", "")
        texts = pc.if_else(longer, cut, texts)
    return _wrap(texts, "'", repr, beyond=0x7F)


def _quote_json(texts: pa.Array) -> pa.Array:
    return _wrap(_cut(texts), '"', encode_basestring, beyond=0x100)


def _cut(texts: pa.Array) -> pa.Array:
    """Cut texts at the length that is kept."""
    longer = pc.greater(pc.utf8_length(texts), KEPT_CHARS)
    if not pc.any(longer).as_py():
        return texts
    return pc.if_else(
        longer, pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, KEPT_CHARS), "...", ""), texts
    )


def _wrap(texts: pa.Array, mark: str, write: Callable[[str], str], *, beyond: int) -> pa.Array:
    """Put marks around texts; `write` does it where a character could need more than that."""
    if _is_simple(texts, mark, beyond):
        return pc.binary_join_element_wise(mark, texts, mark, "")
    known = texts.dictionary_encode()
    written = pa.array([write(text) for text in known.dictionary.to_pylist()], pa.string())
    return written.take(known.indices)


def _is_simple(texts: pa.Array, mark: str, beyond: int) -> bool:
    """Whether no byte is a control character, a quote, a backslash, or at least `beyond`."""
    if not len(texts) or texts.buffers()[2] is None:
        return True
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2], np.uint8)[starts[0] : starts[-1]]
    odd = (data < 0x20) | (data == ord(mark)) | (data == ord("\\")) | (data >= beyond)
    return not odd.any()
