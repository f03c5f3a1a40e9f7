"""An upload's CSV as batches of rows, hashed, counted and checked in the same pass.

Bytes go file → SHA-256 → decompressor → line counter → Arrow's streaming parser, which holds a few blocks at a time
whatever the size of the file. Every line that is not blank must come out as a row: an unclosed quote swallows lines
without any error from the parser, and the count is what finds that. So a cell may not hold a line break.

Most files hold plain numbers, which Arrow's parser reads as fast as anything can. A file that does not is read again
as text, so that each refused cell can be shown as it came.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from include.errors import InputError
from include.market.upload_columns import match_columns
from include.market.upload_numbers import MISSING_WORDS

Progress = Callable[[int, int], None]

_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 64 << 20
_MISSING = sorted({*MISSING_WORDS, *map(str.upper, MISSING_WORDS), "Null", "NaN", "None"})
_ONE_LINE = "each row must be one line: close every quote and keep line breaks out of cells"
_ENCODED = pa.dictionary(pa.int32(), pa.string())


class NotPlainError(Exception):
    """A file has cells that must be read as text."""


class CsvReader:
    """One pass over a CSV file; `ragged` and `sha256` are complete when `batches` has ended.

    Parameters
    ----------
    path
        The file.
    compression
        "gzip", "zstd" or None.
    on_progress
        Called with bytes read and bytes in all, from the thread that reads the file.
    plain
        Expect plain numbers and give float64; `batches` raises NotPlainError where a cell is none.
    """

    def __init__(
        self, path: Path, compression: str | None, on_progress: Progress | None = None, *, plain: bool
    ) -> None:
        self.path, self.plain, self._compression, self._on_progress = path, plain, compression, on_progress
        self.sha256 = ""
        self.ragged: list[tuple[int, str]] = []
        with _explain_errors(path, compression):
            names, self._header_lines, header_bytes = _read_header(path, compression)
        self._width = len(names)
        # A row is rarely sixteen times as long as its header; Arrow wants each within one block.
        self._block_bytes = max(_BLOCK_BYTES, 16 * header_bytes)
        self._columns = match_columns(names, path.name)
        self.headers = {meaning: names[index] for meaning, index in self._columns.items()}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows that have all fields, columns named by meaning, symbol and date encoded."""
        rows = 0
        with _explain_errors(self.path, self._compression), self.path.open("rb", buffering=0) as file:
            hashing = HashingFile(file, self.path.stat().st_size, self._on_progress)
            lines = _LineCounter(_decompress(hashing, self._compression))
            for batch in self._open(lines):
                rows += batch.num_rows
                yield batch.rename_columns(list(self._columns))
            self.sha256 = hashing.finish()
        self._require_every_line(lines, rows + len(self.ragged))

    def _open(self, lines: _LineCounter) -> Iterator[pa.RecordBatch]:
        indexes = {meaning: str(index) for meaning, index in self._columns.items()}
        number = pa.float64() if self.plain else pa.string()
        types = {index: _ENCODED if meaning in ("symbol", "date") else number for meaning, index in indexes.items()}
        reader: Iterator[pa.RecordBatch] = pa.csv.open_csv(
            lines,
            # Without threads the parser tells the row number of a ragged row; the file is still read ahead.
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=self._block_bytes,
                skip_rows=self._header_lines,
                column_names=[str(index) for index in range(self._width)],
            ),
            parse_options=pa.csv.ParseOptions(invalid_row_handler=self._keep_ragged),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(indexes.values()), column_types=types, null_values=_MISSING
            ),
        )
        return reader

    def _keep_ragged(self, row: Any) -> str:
        self.ragged.append((row.number - self._header_lines, row.text))
        return "skip"

    def _require_every_line(self, counter: _LineCounter, rows: int) -> None:
        if not counter.has_returns and counter.ends + (not counter.at_start) == rows + self._header_lines:
            return
        # Blank lines and carriage returns (a lone one ends a line too) are counted in a pass of their own.
        with self.path.open("rb") as file:
            lines = _count_lines(_decompress(file, self._compression)) - 1
        if lines != rows:
            raise InputError(_ONE_LINE, value=f"{lines} lines that read as {rows} rows", place=self.path.name)


class HashingFile:
    """A file that hashes what is read from it.

    Parameters
    ----------
    file
        Binary and open.
    size_bytes
        Its size, for `on_progress`.
    on_progress
        Called with bytes read and bytes in all.
    """

    closed = False

    def __init__(self, file: IO[bytes], size_bytes: int, on_progress: Progress | None = None) -> None:
        self._file, self._size_bytes, self._on_progress = file, size_bytes, on_progress
        self._hash, self._done = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Read, hash and report."""
        block = self._file.read(size)
        self._hash.update(block)
        self._done += len(block)
        if self._on_progress and block:
            self._on_progress(self._done, self._size_bytes)
        return block

    def finish(self) -> str:
        """Read what is left and give the hash of all bytes, in hexadecimal."""
        while self.read(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest()

    def close(self) -> None:
        """Leave the file to the one who opened it."""


class _LineCounter:
    """A stream that counts line ends while it is read, and knows whether it is at the start of a line."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream, self.ends, self.at_start, self.has_returns = stream, 0, True, False

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._stream.read(size)
        if block:
            self.ends += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
            self.at_start = block.endswith(b"\n")
            self.has_returns |= b"\r" in block
        return block

    def close(self) -> None:
        """Leave the stream to the one who opened it."""


def _count_lines(stream: Any) -> int:
    """Count the lines that are not blank."""
    count, rest = 0, b""
    while block := stream.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).splitlines(keepends=True)
        count += sum(line not in (b"\n", b"\r\n", b"\r") for line in lines)
    return count + bool(rest.strip(b"\r\n"))


def _decompress(file: Any, compression: str | None) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression) if compression else file


def _read_header(path: Path, compression: str | None) -> tuple[list[str], int, int]:
    """Give the column names, the lines up to and with the header, and its length in bytes."""
    with path.open("rb") as file:
        stream, head = _decompress(file, compression), b""
        while len(head) < _HEADER_BYTES and not re.search(rb"[^\r\n][\r\n]", head):
            block = stream.read(1 << 20)
            if not block:
                break
            head += block
    line = re.split(rb"[\r\n]", head.lstrip(b"\r\n"), maxsplit=1)[0]
    blank = head[: len(head) - len(head.lstrip(b"\r\n"))]
    return _split_header(_decode_header(line, path.name), path.name), len(blank.splitlines()) + 1, len(line)


def _split_header(text: str, place: str) -> list[str]:
    try:
        return next(csv.reader([text]))
    except csv.Error as error:
        raise InputError("an upload must begin with a header", value=error, place=place) from None


def _decode_header(line: bytes, place: str) -> str:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("an upload must be UTF-8 text", value=_show_byte(error, 0), place=f"{place}, header") from None
    if "\0" in text:
        raise InputError("an upload must be text: CSV, or Parquet", value="a zero byte", place=f"{place}, header")
    if not text.strip():
        raise InputError("an upload must have a header", value="nothing but blank lines", place=place)
    if text.count('"') % 2:
        raise InputError("the header must be one line: close every quote", value=text[:80], place=place)
    return text


@contextmanager
def _explain_errors(path: Path, compression: str | None) -> Iterator[None]:
    """Say what rule a file broke, in place of the parser's own words."""
    try:
        yield
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        if "conversion error to double" in str(error):
            raise NotPlainError from error
        raise _explain(str(error), path, compression) from error


def _explain(message: str, path: Path, compression: str | None) -> InputError:
    # A line that has too few fields and is not UTF-8 never reaches the handler of such lines: "parse error".
    if "UTF8" in message or "parse error" in message:
        return _find_bad_byte(path, compression)
    if "out of sync" in message:
        return InputError(_ONE_LINE, value="a line break inside quotes", place=path.name)
    if "Could not skip" in message:
        return InputError("an upload must have at least one row", value="a header and no rows", place=path.name)
    if "straddling" in message:
        return InputError("a row must not be longer than 4 MiB and 16 times its header", place=path.name)
    if compression and "Errno" not in message:
        return InputError(f"a compressed upload must be whole {compression} data", value=message, place=path.name)
    return InputError("an upload must be a readable CSV file", value=message, place=path.name)


def _find_bad_byte(path: Path, compression: str | None) -> InputError:
    """Read again, to say where the first byte is that is not UTF-8."""
    decoder, done, lines = codecs.getincrementaldecoder("utf-8")(), 0, 1
    with path.open("rb") as file:
        stream = _decompress(file, compression)
        while block := stream.read(_BLOCK_BYTES):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                value = f"{_show_byte(error, done - held)}, line {lines}"
                return InputError("an upload must be UTF-8 text", value=value, place=path.name)
            done += len(block)
            lines += block.count(b"\n")
    return InputError("an upload must be UTF-8 text", value="a character cut short at the end", place=path.name)


def _show_byte(error: UnicodeDecodeError, offset: int) -> str:
    return f"byte 0x{error.object[error.start]:02x} at offset {offset + error.start}"
