"""An upload's CSV, a block of whole lines at a time.

Most blocks hold plain numbers, which Arrow's parser reads as fast as anything can. A block that does not is read again
as text, so that each refused cell can be shown as it came.

Every line that is not blank must come out as a row: an unclosed quote swallows lines without any error from the parser,
and the count is what finds that. So a cell may not hold a line break.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from include.errors import InputError
from include.uploads.columns import match_columns
from include.uploads.numbers import MISSING_WORDS
from include.uploads.rows import Columns, PartedRows, Ragged, part_rows
from include.uploads.source import Source
from include.uploads.stream import Block, HashedStream, Unpacked, cut_blocks

_HEADER_BYTES = 64 << 20
_READ_BYTES = 4 << 20
_PIECE_BYTES = 128 << 10
_WIDE = 1000
_MISSING = sorted({*MISSING_WORDS, *map(str.upper, MISSING_WORDS), "Null", "NaN", "None"})
_ONE_LINE = "each row must be one line: close every quote and keep line breaks out of cells"
_UTF8 = "an upload must be UTF-8 text"
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_REPLACEMENT = "\ufffd"


class CsvReader:
    """The rows of one CSV file.

    Parameters
    ----------
    source
        The file, for messages and to find a bad byte again.
    stream
        Its bytes, read once.
    compression
        "gzip", "zstd" or None.

    Raises
    ------
    InputError
        The header breaks a rule.
    """

    def __init__(self, source: Source, stream: HashedStream, compression: str | None) -> None:
        self._source, self._compression, self._place = source, compression, source.name
        self._text = Unpacked(stream, compression, source.size_bytes, source.name)
        head = self._read_head()
        names, self._rest, self._offset = _split_head(head, source.name)
        found = match_columns(names, source.name)
        self._width = len(names)
        self._indexes = {meaning: f"f{index}" for meaning, index in found.items()}
        self.columns = Columns({meaning: names[index] for meaning, index in found.items()}, source.name)
        self._names = [f"f{index}" for index in range(self._width)]
        self._was_plain = True

    def blocks(self) -> Iterator[Block]:
        """Give the file's lines after the header, in order."""
        try:
            yield from cut_blocks(self._text, self._rest, self._offset, self._place)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._explain(str(error)) from error

    def part(self, block: Block) -> PartedRows:
        """Read one block and part its rows; blocks may be parted at the same time.

        Raises
        ------
        InputError
            The block is no text of whole rows.
        """
        if not self._has_bad_bytes(block):
            if self._was_plain and (plain := self._part_plain(block)) is not None:
                return plain
            parted, self._was_plain = self._part_text(block)
            return parted
        clean = Block(block.data.decode("utf-8", "replace").encode(), block.offset)
        batch, ragged = self._read(clean.data, pa.string())
        if _has_replacement(batch) or any(_REPLACEMENT in line for _, line in ragged):
            raise self._find_bad_byte(block)
        return part_rows(batch, ragged, self.columns)

    def _part_plain(self, block: Block) -> PartedRows | None:
        """Expect plain numbers, and give nothing where a cell is none or a row is refused."""
        try:
            batch, ragged = self._read(block.data, pa.float64())
        except pa.ArrowInvalid as error:
            if "conversion error to double" in str(error):
                return None
            raise self._explain(str(error)) from error
        numbers = [column for column in batch.columns if pa.types.is_floating(column.type)]
        if not all(pc.all(pc.is_finite(column)).as_py() is not False for column in numbers):
            return None
        parted = part_rows(batch, ragged, self.columns)
        refused = 0 if parted.refused is None else parted.refused.num_rows
        return parted if refused == len(ragged) else None

    def _part_text(self, block: Block) -> tuple[PartedRows, bool]:
        """Read cells as text; tell too whether the next block is worth trying as plain numbers."""
        try:
            batch, ragged = self._read(block.data, pa.string())
        except pa.ArrowInvalid as error:
            raise self._explain(str(error)) from error
        parted = part_rows(batch, ragged, self.columns)
        sample = batch.slice(0, 100)
        numbers = [sample[name] for name in self._indexes if name not in ("symbol", "date")]
        return parted, all(_is_plain(column) for column in numbers)

    def _read(self, data: bytes, number: pa.DataType) -> tuple[pa.RecordBatch, Ragged]:
        """Parse whole lines: rows with all fields, columns named by meaning, and the other rows."""
        ragged: list[tuple[int, str]] = []

        def keep(row: Any) -> str:
            ragged.append((row.number - 1, row.text))
            return "skip"

        types = {
            index: _ENCODED if meaning in ("symbol", "date") else number for meaning, index in self._indexes.items()
        }
        has_quotes, names = b'"' in data, self._names
        if self._width > _WIDE and not has_quotes:
            data, ragged = _narrow(data, self._width, [int(index[1:]) for index in self._indexes.values()])
            names = list(self._indexes.values())
        table = _parse(data, names, types, keep, quote='"' if has_quotes else False)
        if has_quotes:
            self._require_every_line(data, table.num_rows + len(ragged))
        batches = table.rename_columns(list(self._indexes)).combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], _named(types, self._indexes)), ragged

    def _require_every_line(self, data: bytes, rows: int) -> None:
        lines = _count_byte(data, b"\n") + (not data.endswith(b"\n"))
        # A carriage return may end a line by itself, and blank lines are no rows: then line by line.
        if lines != rows or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
            lines = sum(1 for line in data.splitlines() if line)
        if lines != rows:
            raise InputError(_ONE_LINE, value=f"{lines} lines that read as {rows} rows", place=self._place)
        last = _last_line(data)
        if last.count(b'"') % 2 and self._is_open(last):
            value = f"a quote that stays open: {last[:80].decode('utf-8', 'replace')!r}"
            raise InputError(_ONE_LINE, value=value, place=self._place)

    def _is_open(self, line: bytes) -> bool:
        """Whether a quote that a line opens would swallow the line after it."""
        seen: list[str] = []
        after = b"," * (self._width - 1)

        def note(row: Any) -> str:
            seen.append(row.text)
            return "skip"

        table = _parse(b"\n".join([line, after, b""]), self._names, {"f0": pa.string()}, note, quote='"')
        return bool(table.num_rows + len(seen) != len(line.splitlines()) + 1)

    def _has_bad_bytes(self, block: Block) -> bool:
        if block.data.isascii():
            return False
        try:
            codecs.utf_8_decode(block.data, "strict", True)
        except UnicodeDecodeError:
            return True
        return False

    def _read_head(self) -> bytes:
        """Read up to the end of the header's line."""
        pieces: list[bytes] = []
        size, is_begun = 0, False
        try:
            while block := self._text.read(1 << 20):
                pieces.append(block)
                size += len(block)
                text = block if is_begun else block.lstrip(b"\r\n")
                is_begun |= bool(text)
                if re.search(rb"[\r\n]", text):
                    break
                if size > _HEADER_BYTES:
                    rule = "the header must not be longer than 64 MiB"
                    raise InputError(rule, value="no line end so far", place=self._place)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._explain(str(error)) from error
        return b"".join(pieces)

    def _explain(self, message: str) -> InputError:
        if self._compression and "Errno" not in message and "CSV parse error" not in message:
            rule = f"a compressed upload must be whole {self._compression} data"
            return InputError(rule, value=message.splitlines()[0], place=self._place)
        if "out of sync" in message or "straddling" in message:
            return InputError(_ONE_LINE, value="a line break inside quotes", place=self._place)
        first = message.splitlines()[0] if message else "no reason given"
        return InputError("an upload must be a readable CSV file", value=first, place=self._place)

    def _find_bad_byte(self, block: Block) -> InputError:
        """Say where the block's first byte is that is not UTF-8; the lines before the block are counted anew."""
        try:
            block.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = 1 + self._count_lines(block.offset) + block.data[: error.start].count(b"\n")
            value = f"{_show_byte(error, block.offset)}, line {line}"
            return InputError(_UTF8, value=value, place=self._place)
        return InputError(_UTF8, value=_REPLACEMENT, place=self._place)

    def _count_lines(self, size: int) -> int:
        lines = 0
        with self._source.open_stream() as stream:
            text = Unpacked(stream, self._compression, self._source.size_bytes, self._place)
            while size and (data := text.read(min(size, _READ_BYTES))):
                lines += data.count(b"\n")
                size -= len(data)
        return lines


def _parse(
    data: bytes, names: list[str], types: Mapping[str, pa.DataType], keep: Any, *, quote: str | bool
) -> pa.Table:
    """Parse whole lines, their columns called `names`, into the columns of `types`."""
    if not data or data.isspace():
        return pa.table({index: pa.array([], kind) for index, kind in types.items()})
    return pa.csv.read_csv(
        pa.py_buffer(data),
        read_options=pa.csv.ReadOptions(
            # Without threads the parser tells the number of a ragged row; blocks are what runs side by side.
            use_threads=False,
            block_size=len(data),
            column_names=names,
        ),
        parse_options=pa.csv.ParseOptions(quote_char=quote, invalid_row_handler=keep),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(types), column_types=dict(types), null_values=_MISSING
        ),
    )


def _narrow(data: bytes, width: int, wanted: list[int]) -> tuple[bytes, list[tuple[int, str]]]:
    """Cut the wanted cells out of very wide rows without quotes; give the other rows with their numbers.

    Arrow takes every cell of a row apart before it drops most of them: at 300,000 columns that costs ten times as much.
    """
    kept: list[bytes] = []
    ragged: list[tuple[int, str]] = []
    for line in data.splitlines():
        if not line:
            continue
        commas = np.flatnonzero(np.frombuffer(line, np.uint8) == ord(","))
        if len(commas) != width - 1:
            ragged.append((len(kept) + len(ragged), line.decode()))
            continue
        ends = np.append(commas, len(line))
        kept.append(b",".join(line[ends[at - 1] + 1 if at else 0 : ends[at]] for at in wanted))
    return b"\n".join([*kept, b""]), ragged


def _named(types: Mapping[str, pa.DataType], indexes: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(meaning, types[index]) for meaning, index in indexes.items()])


def _count_byte(data: bytes, byte: bytes) -> int:
    """Count a byte that is frequent: several times as fast as bytes.count, in pieces that stay in the cache."""
    numbers = np.frombuffer(data, np.uint8)
    pieces = (numbers[start : start + _PIECE_BYTES] for start in range(0, len(numbers), _PIECE_BYTES))
    return sum(int(np.count_nonzero(piece == byte[0])) for piece in pieces)


def _last_line(data: bytes) -> bytes:
    end = len(data)
    while end and data[end - 1] in b"\r\n":
        end -= 1
    return data[data.rfind(b"\n", 0, end) + 1 : end]


def _is_plain(column: pa.Array) -> bool:
    """Whether text cells are numbers that Arrow's parser reads, or words for missing that it knows."""
    try:
        column.filter(pc.invert(pc.is_in(column, pa.array(_MISSING)))).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _has_replacement(batch: pa.RecordBatch) -> bool:
    texts = [column.dictionary if pa.types.is_dictionary(column.type) else column for column in batch.columns]
    return any(pc.any(pc.match_substring(text, _REPLACEMENT)).as_py() for text in texts)


def _split_head(head: bytes, place: str) -> tuple[list[str], bytes, int]:
    """Part the header from what follows it: column names, the rest, and where the rest begins."""
    text = head.lstrip(b"\r\n")
    line = re.split(rb"[\r\n]", text, maxsplit=1)[0]
    rest = text[len(line) :]
    return _split_header(_decode_header(line, place), place), rest, len(head) - len(rest)


def _split_header(text: str, place: str) -> list[str]:
    limit = csv.field_size_limit(_HEADER_BYTES)
    try:
        return next(csv.reader([text]))
    except csv.Error as error:
        raise InputError("an upload must begin with a header", value=error, place=place) from None
    finally:
        csv.field_size_limit(limit)


def _decode_header(line: bytes, place: str) -> str:
    if line.startswith(_UTF16):
        raise InputError(_UTF8, value="UTF-16, by its first two bytes", place=f"{place}, header")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(_UTF8, value=_show_byte(error, 0), place=f"{place}, header") from None
    if "\0" in text:
        raise InputError("an upload must be text: CSV, or Parquet", value="a zero byte", place=f"{place}, header")
    if not text.strip():
        raise InputError("an upload must have a header", value="nothing but blank lines", place=place)
    if text.count('"') % 2:
        raise InputError("the header must be one line: close every quote", value=text[:80], place=place)
    return text


def _show_byte(error: UnicodeDecodeError, offset: int) -> str:
    return f"byte 0x{error.object[error.start]:02x} at offset {offset + error.start}"
