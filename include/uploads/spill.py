"""Record batches that stay in memory while they are few, and go to a file without a name beyond that.

The file has no name in any folder, so nothing is left of it when the process ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from include.errors import UnavailableError


class Spill:
    """Batches of one schema, written once in order, then read as often as one likes.

    Parameters
    ----------
    schema
        Of every batch.
    scratch
        Folder for the file; None for the system's temporary folder. Made where it is not there.
    budget_bytes
        How much stays in memory.
    """

    def __init__(self, schema: pa.Schema, scratch: Path | None, budget_bytes: int) -> None:
        self.schema, self.num_rows = schema, 0
        self._scratch, self._budget_bytes = scratch, budget_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    @property
    def in_memory(self) -> bool:
        """Whether everything is still in memory."""
        return self._file is None

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch.

        Raises
        ------
        UnavailableError
            There is no room for the file.
        """
        if not batch.num_rows:
            return
        self.num_rows += batch.num_rows
        if self._writer is not None:
            self._write([batch])
            return
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > self._budget_bytes:
            self._write(self._held)
            self._held = []

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._file is None:
            yield from self._held
            return
        if self._writer is not None:
            self._finish()
        with pa.ipc.open_stream(pa.PythonFile(_Cursor(self._file.fileno()), mode="r")) as batches:
            yield from batches

    def close(self) -> None:
        """Let go of memory and file."""
        if self._file is not None:
            self._file.close()
        self._held, self._writer = [], None

    def _write(self, batches: list[pa.RecordBatch]) -> None:
        try:
            if self._file is None:
                self._file, self._writer = self._open()
            for batch in batches:
                assert self._writer is not None
                self._writer.write_batch(batch)
        except OSError as error:
            raise self._no_room(error) from error

    def _open(self) -> tuple[IO[bytes], pa.RecordBatchStreamWriter]:
        if self._scratch is not None:
            self._scratch.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=self._scratch, buffering=1 << 20)  # noqa: SIM115 (closed by close)
        return file, pa.ipc.new_stream(pa.PythonFile(file, mode="w"), self.schema)

    def _finish(self) -> None:
        assert self._writer is not None
        assert self._file is not None
        try:
            self._writer.close()
            self._file.flush()
        except OSError as error:
            raise self._no_room(error) from error
        self._writer = None

    def _no_room(self, error: OSError) -> UnavailableError:
        rule = "rows of a large upload need room in a scratch folder"
        return UnavailableError(rule, value=error, place=str(self._scratch or tempfile.gettempdir()))


class _Cursor:
    """One reading of a file that others read too, each from a place of its own."""

    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def close(self) -> Any:
        """Leave the file to the one who opened it."""
