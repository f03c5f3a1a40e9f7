"""An upload's Parquet file as batches of rows.

Parquet is read from its end and by columns, so its bytes are hashed by a thread of their own beside the reading. Only
the accepted columns are read, page by page: neither other columns nor the length of a row group count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import InputError
from include.uploads.columns import match_columns
from include.uploads.rows import Columns, PartedRows, part_rows
from include.uploads.source import Source

_BATCH_ROWS = 1 << 16
_PAGE_BYTES = 1 << 20
_FOOTER_BYTES = 128 << 20
_CHUNK_BYTES = 64 << 20
_CELL_BYTES = 1 << 10
_WHOLE = "a Parquet upload must be whole"


class _DataReachedError(OSError):
    """Arrow found nothing wrong before the data."""


class _NoData:
    """A file of which only the size can be known."""

    closed = False

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes, self._at = size_bytes, 0

    def read(self, _: int = -1) -> bytes:
        raise _DataReachedError

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}
        self._at = starts[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        """Do nothing: there is nothing open."""


class ParquetReader:
    """The rows of one Parquet file; a context manager that closes it.

    Parameters
    ----------
    source
        The file.

    Raises
    ------
    InputError
        Its footer breaks a rule.
    """

    def __init__(self, source: Source) -> None:
        self._place, self._size_bytes = source.name, source.size_bytes
        try:
            file = source.open_random()
            _require_small_footer(file, source.size_bytes, self._place)
            self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=_PAGE_BYTES)
            names = self._file.schema_arrow.names
        except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
            raise self._explain(error) from error
        headers = {meaning: names[index] for meaning, index in match_columns(names, self._place).items()}
        self.columns = Columns(headers, self._place)

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Give the rows with columns named by meaning, in the types that the file has."""
        headers, rows = self.columns.headers, 0
        try:
            self._require_small_cells()
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=list(headers.values())):
                rows += batch.num_rows
                yield pa.record_batch([batch[header] for header in headers.values()], names=list(headers))
        except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
            raise self._explain(error) from error
        promised = self._file.metadata.num_rows
        if rows != promised:
            raise InputError(_WHOLE, value=f"{rows:,} rows where {promised:,} are promised", place=self._place)

    def part(self, batch: pa.RecordBatch) -> PartedRows:
        """Part the rows of one batch."""
        try:
            return part_rows(batch, (), self.columns)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self._explain(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)

    def __enter__(self) -> ParquetReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _require_small_cells(self) -> None:
        """Refuse what a few bytes would unpack to more than rows of this number can hold."""
        self._require_sound_chunks()
        wanted = set(self.columns.headers.values())
        metadata = self._file.metadata
        indexes = [at for at in range(metadata.num_columns) if metadata.schema.column(at).path.split(".")[0] in wanted]
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for at in indexes:
                column = group.column(at)
                if column.total_uncompressed_size > _CHUNK_BYTES + _CELL_BYTES * max(group.num_rows, 0):
                    rule = "a column of a Parquet upload must not take more than 1 KiB a row"
                    value = f"{column.total_uncompressed_size:,} bytes for {group.num_rows:,} rows"
                    raise InputError(rule, value=value, place=f"{self._place}, column {column.path_in_schema}")

    def _require_sound_chunks(self) -> None:
        """Let Arrow check what the footer says of each chunk, and stop it at the first byte of data.

        Asked for the same by `RowGroupMetaData.column`, it ends the process where the footer lies (pyarrow 25).
        """
        metadata = self._file.metadata
        file = pa.PythonFile(_NoData(self._size_bytes), mode="r")
        probe = pq.ParquetFile(file, metadata=metadata, pre_buffer=False, buffer_size=_PAGE_BYTES)
        for group in range(metadata.num_row_groups):
            for header in self.columns.headers.values():
                with suppress(_DataReachedError):
                    next(probe.iter_batches(1, row_groups=[group], columns=[header]), None)

    def _explain(self, error: Exception) -> InputError:
        words = str(error).splitlines()
        return InputError(_WHOLE, value=words[0][:300] if words else type(error).__name__, place=self._place)


def _require_small_footer(file: Any, size_bytes: int, place: str) -> None:
    """Refuse a file whose description of itself would not fit into memory; unpacked it takes ten times its length."""
    tail = file.read_at(8, size_bytes - 8) if size_bytes >= 12 else b""
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] == b"PARE":
        raise InputError("a Parquet upload must not be encrypted", value="an encrypted footer", place=place)
    if tail[4:] == b"PAR1" and length > _FOOTER_BYTES:
        rule = "a Parquet upload's footer must not be longer than 128 MiB"
        raise InputError(rule, value=f"{length:,} bytes", place=place)
