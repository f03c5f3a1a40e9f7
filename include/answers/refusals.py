"""The rows of an upload that do not stand, as a CSV beside its answer: row, symbol, session, rule, reason, cells."""

from __future__ import annotations

from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.csv as pacsv

from include.uploads.row_store import REFUSED


class RefusalList:
    """Refused rows, written as they come; a context manager that ends the CSV.

    Parameters
    ----------
    out
        Open for writing, left to the one who opened it.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._writer = pacsv.CSVWriter(out, REFUSED)
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows: the columns of REFUSED."""
        self._writer.write_table(rows.select(REFUSED.names).cast(REFUSED))
        self.rows += rows.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
