"""Readers of the daily upload: CSV (plain, gzip, zstd) or Parquet, one session or many, a row a symbol.

Each batch of rows is parted at once into bars and refused rows, so memory holds the narrow columns and a few blocks of
text whatever the file's size. Dates are settled last, because the whole file is the evidence for what they mean. A
fault of the file (a column, a date, an encoding) refuses the file; a fault of a row refuses the row and says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from include.errors import InputError
from include.market.upload_csv import CsvReader, NotPlainError, Progress
from include.market.upload_dates import DateRules
from include.market.upload_parquet import ParquetReader
from include.market.upload_rows import RowSplitter

_MAGIC = {b"\x1f\x8b": ("gzip", ".gz"), b"\x28\xb5\x2f\xfd": ("zstd", ".zst"), b"PAR1": ("parquet", ".parquet")}
"""First bytes → form and the suffix that promises it."""

_UNFINISHED = (".tmp", ".part")


@dataclass(frozen=True)
class Upload:
    """What one upload held; `rows == bars.num_rows + refused.num_rows`.

    Parameters
    ----------
    name
        File name as it came.
    sha256
        Of the bytes as they came, in hexadecimal.
    size_bytes
        Size of the file as it came.
    rows
        Data rows in the file, blank lines apart.
    bars
        Rows whose cells could all be read: row_number int64 (1-based data row), symbol string, session date32, open,
        high, low, close, volume and market_cap float64 (the last two may be null). In the file's order.
    refused
        The other rows: schema.QUARANTINE without upload_sha256 and quarantined_at. In the file's order. `raw` is JSON
        of the accepted columns as they came, or of the whole line where its fields could not be told apart.
    """

    name: str
    sha256: str
    size_bytes: int
    rows: int
    bars: pa.Table
    refused: pa.Table


class _Reader(Protocol):
    """What a file's form gives: rows with columns named by meaning, and after them the hash and the ragged rows."""

    path: Path
    plain: bool
    headers: dict[str, str]
    sha256: str
    ragged: list[tuple[int, str]]

    def batches(self) -> Iterator[pa.RecordBatch]: ...


def list_uploads(path: Path) -> list[Path]:
    """List the uploads at a path: the file itself, or a folder's files, sorted by name.

    Hidden files, sub-folders and files still being written (`*.tmp`, `*.part`) are left out.

    Raises
    ------
    InputError
        Where there is nothing, or no right to look.
    """
    try:
        if path.is_file():
            return [path]
        entries = sorted(path.iterdir())
        found = [entry for entry in entries if entry.is_file() and _is_finished(entry.name)]
    except OSError as error:
        raise InputError(
            "an upload must be a file or a folder that can be read", value=error, place=str(path)
        ) from error
    if not found:
        raise InputError("a folder of uploads must hold at least one file", place=str(path))
    return found


def read_upload(
    path: Path,
    *,
    date_order: str | None = None,
    expected_session: date | None = None,
    on_progress: Progress | None = None,
) -> Upload:
    """Read one file in any accepted form.

    Parameters
    ----------
    path
        A CSV (plain, gzip, zstd) or Parquet file.
    date_order
        "M/D" or "D/M": how 7/2/2018 is read where the whole file leaves it open.
    expected_session
        The session that is waited for; settles the order of day and month where `date_order` is None.
    on_progress
        Called with bytes done and bytes in all, possibly from another thread; starts again from 0 where a CSV turns
        out to hold more than plain numbers.

    Returns
    -------
    Upload
        Every data row of the file, either in `bars` or in `refused`.

    Raises
    ------
    InputError
        Where the file as a whole breaks a rule; the message names rule, value and place.
    """
    rules = DateRules(path.name, date_order, expected_session)
    form = _detect_form(path)
    if form == "parquet":
        return _read_rows(ParquetReader(path, on_progress), rules)
    # Not within `except`: the error would keep the first reading's rows in memory through the second.
    with suppress(NotPlainError):
        return _read_rows(CsvReader(path, form, on_progress, plain=True), rules)
    return _read_rows(CsvReader(path, form, on_progress, plain=False), rules)


def _read_rows(reader: _Reader, rules: DateRules) -> Upload:
    path = reader.path
    splitter = RowSplitter(reader.headers, path.name)
    for batch in _read_ahead(reader.batches()):
        splitter.add(batch)
        if reader.plain and splitter.has_refused:
            raise NotPlainError
    rows = splitter.rows + len(reader.ragged)
    if rows == 0:
        raise InputError("an upload must have at least one row", value="a header and no rows", place=path.name)
    bars, refused = splitter.finish(reader.ragged, rules)
    return Upload(path.name, reader.sha256, path.stat().st_size, rows, bars, refused)


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Parse the next batch in another thread while the caller works on this one (Arrow lets go of the interpreter)."""
    with ThreadPoolExecutor(max_workers=1) as parser:
        coming = parser.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = parser.submit(next, batches, None)
            yield batch


def _is_finished(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(_UNFINISHED)


def _detect_form(path: Path) -> str | None:
    """Tell the form by the first bytes (None for plain CSV); the file's name must not promise another."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError("an upload must be a file that can be read", value=error, place=str(path)) from error
    if not head:
        raise InputError("an upload must not be empty", value="0 bytes", place=path.name)
    form, suffix = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), (None, None))
    claimed = path.suffix.lower()
    if claimed != suffix and claimed in {known for _, known in _MAGIC.values()}:
        raise InputError(f"a {claimed} file must begin as one", value=head, place=path.name)
    return form
