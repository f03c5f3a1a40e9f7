"""An upload's Parquet file as batches of rows.

Parquet is read from its end, so its bytes are hashed in a pass of their own before it is parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import InputError
from include.market.upload_columns import match_columns
from include.market.upload_csv import HashingFile, Progress

_BATCH_ROWS = 1 << 16


class ParquetReader:
    """One pass over a Parquet file.

    Parameters
    ----------
    path
        The file.
    on_progress
        Called with bytes done, in proportion to the rows read, and bytes in all.
    """

    plain = False

    def __init__(self, path: Path, on_progress: Progress | None = None) -> None:
        self.path, self._on_progress = path, on_progress
        self.ragged: list[tuple[int, str]] = []
        self._size_bytes = path.stat().st_size
        with path.open("rb") as file:
            self.sha256 = HashingFile(file, self._size_bytes).finish()
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise _explain(error, path) from error
        names = self._file.schema_arrow.names
        self.headers = {meaning: names[index] for meaning, index in match_columns(names, path.name).items()}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows with columns named by meaning, in the types that the file has."""
        done, total = 0, self._file.metadata.num_rows
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=list(self.headers.values())):
                done += batch.num_rows
                yield pa.record_batch([batch[header] for header in self.headers.values()], names=list(self.headers))
                if self._on_progress:
                    self._on_progress(self._size_bytes * done // total, self._size_bytes)
        except (pa.ArrowException, OSError) as error:
            raise _explain(error, self.path) from error
        finally:
            self._file.close()


def _explain(error: Exception, path: Path) -> InputError:
    words = str(error).splitlines()
    return InputError(
        "a Parquet upload must be whole", value=words[0] if words else type(error).__name__, place=path.name
    )
