"""Readers of the daily upload: CSV (plain, gzip, zstd) or Parquet, one session or many, a row a symbol.

One thread reads the bytes in order, hashes them and cuts them into blocks; two more part the blocks into bars and
refused rows; the results are gathered in the file's order, in memory up to a budget and in a scratch file beyond it. So
memory has a bound whatever the file's size and width. Dates are settled last, because the whole file is the evidence
for what they mean. A fault of the file (a column, a date, an encoding) refuses the file; a fault of a row refuses the
row and says why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

from include.errors import InputError
from include.uploads.csv_reader import CsvReader
from include.uploads.dates import DateRules
from include.uploads.parquet_reader import ParquetReader
from include.uploads.row_store import BarStore, RefusedStore
from include.uploads.rows import PartedRows, RowGatherer
from include.uploads.source import Source, hash_parts, is_closed_folder, is_finished, open_local
from include.uploads.stream import HashedStream, Meter, Progress

_MAGIC = {
    b"\x1f\x8b": ("gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"PAR1": ("parquet", ".parquet"),
    b"PARE": ("parquet", ".parquet"),
}
"""First bytes → form and the suffix that promises it."""

_PARTING_THREADS = 2


@dataclass(frozen=True)
class Upload:
    """What one upload held; `rows == bars.num_rows + refused.num_rows`. A context manager that closes both stores.

    Parameters
    ----------
    name
        File or folder name as it came.
    sha256
        Of the bytes as they came, in hexadecimal; of a folder, by its parts' hashes (`hash_parts`).
    size_bytes
        Size as it came.
    rows
        Data rows in the file, blank lines apart.
    bars
        Rows whose cells could all be read: row_number int64 (1-based data row), symbol, session date32, open, high,
        low, close, volume and market_cap float64 (the last two may be null).
    refused
        The other rows: schema.QUARANTINE without upload_sha256 and quarantined_at. `raw` is JSON of the accepted
        columns as they came, or of the whole line where its fields could not be told apart.
    """

    name: str
    sha256: str
    size_bytes: int
    rows: int
    bars: BarStore
    refused: RefusedStore

    def close(self) -> None:
        """Let go of the rows."""
        self.bars.close()
        self.refused.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def list_uploads(path: Path) -> list[Path]:
    """List the uploads at a path: the file or the folder of parts itself, or a folder's uploads, sorted by name.

    Hidden names, folders that are not closed and files still being written (`*.tmp`, `*.part`) are left out.

    Raises
    ------
    InputError
        Where there is nothing, or no right to look.
    """
    try:
        if path.is_file() or is_closed_folder(path):
            return [path]
        entries = sorted(path.iterdir())
        found = [each for each in entries if is_finished(each.name) and (each.is_file() or is_closed_folder(each))]
    except OSError as error:
        raise InputError(
            "an upload must be a file or a folder that can be read", value=error, place=str(path)
        ) from error
    if not found:
        raise InputError("a folder of uploads must hold at least one file", place=str(path))
    return found


def read_upload(
    source: Source | Path,
    *,
    scratch: Path | None = None,
    date_order: str | None = None,
    expected_session: date | None = None,
    on_progress: Progress | None = None,
) -> Upload:
    """Read one upload in any accepted form.

    Parameters
    ----------
    source
        A CSV (plain, gzip, zstd) or Parquet file, or a folder of such parts closed by `_SUCCESS`.
    scratch
        Folder for rows that don't fit into memory; None for the system's temporary folder. Nothing in it has a name,
        so nothing is left there.
    date_order
        "M/D" or "D/M": how 7/2/2018 is read where the whole file leaves it open.
    expected_session
        The session that is waited for; settles the order of day and month where `date_order` is None.
    on_progress
        Called with bytes done, bytes in all and words for people, at most ten times a second, possibly from another
        thread.

    Returns
    -------
    Upload
        Every data row of the file, either in `bars` or in `refused`. To be closed.

    Raises
    ------
    InputError
        Where the file as a whole breaks a rule; the message names rule, value and place.
    UnavailableError
        Where there is no room for rows that don't fit into memory.
    """
    found = open_local(source) if isinstance(source, Path) else source
    rows = RowGatherer(DateRules(found.name, date_order, expected_session), scratch)
    try:
        sha256 = _gather(found, rows, Meter(on_progress, found.size_bytes, lambda: rows.rows))
        rows.settle()
    except BaseException:
        rows.close()
        raise
    return Upload(found.name, sha256, found.size_bytes, rows.rows, rows.bars, rows.refused)


def _gather(source: Source, rows: RowGatherer, meter: Meter) -> str:
    """Gather every row of a file, or of a folder's parts one after another; give the hash."""
    with ThreadPoolExecutor(_PARTING_THREADS, thread_name_prefix="part-rows") as pool:
        if not source.parts:
            return _gather_file(source, rows, meter, pool)
        return hash_parts([_gather_file(part, rows, meter, pool, part.name) for part in source.parts])


def _gather_file(
    source: Source, rows: RowGatherer, meter: Meter, pool: ThreadPoolExecutor, part: str | None = None
) -> str:
    with source.open_stream() as stream:
        hashed = HashedStream(stream, meter)
        form = _detect_form(hashed.peek(4), source.name)
        if form == "parquet":
            return _gather_parquet(source, hashed, lambda block: rows.add(block, part), pool)
        reader = CsvReader(source, hashed, form)
        for parted in _part_in_order(reader.part, reader.blocks(), pool):
            rows.add(parted, part)
        return hashed.finish()


def _gather_parquet(
    source: Source, hashed: HashedStream, add: Callable[[PartedRows], None], pool: ThreadPoolExecutor
) -> str:
    with ThreadPoolExecutor(1, thread_name_prefix="hash-upload") as hasher, ParquetReader(source) as reader:
        sha256 = hasher.submit(hashed.finish)
        try:
            for parted in _part_in_order(reader.part, reader.blocks(), pool):
                add(parted)
        except BaseException:
            hashed.stop()
            raise
        return sha256.result()


def _part_in_order(
    part: Callable[[Any], PartedRows], blocks: Iterable[Any], pool: ThreadPoolExecutor
) -> Iterator[PartedRows]:
    """Part a few blocks at a time and give them in their order."""
    coming: deque[Future[PartedRows]] = deque()
    try:
        for block in blocks:
            coming.append(pool.submit(part, block))
            while coming and (len(coming) > _PARTING_THREADS + 1 or coming[0].done()):
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        for future in coming:
            future.cancel()


def _detect_form(head: bytes, name: str) -> str | None:
    """Tell the form by the first bytes (None for plain CSV); the file's name must not promise another."""
    if not head:
        raise InputError("an upload must not be empty", value="0 bytes", place=name)
    form, suffix = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), (None, None))
    claimed = PurePath(name).suffix.lower()
    if claimed != suffix and claimed in {known for _, known in _MAGIC.values()}:
        raise InputError(f"a {claimed} file must begin as one", value=head, place=name)
    return form
