"""The audit trail of an answer: each forecast as two rows of `adhoc_predictions`, all in one commit.

They differ from the rows of a session's scoring in what was read: `upload_sha256` names the file, and there is no
version of bars.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake.transaction import AddAction

from include.answers.forecast import FALLBACK, STATUSES, Forecasts, say_reason
from include.ingest.keys import rank_texts
from include.lake.data_files import commit_files, write_file
from include.lake.tables import ADHOC_PREDICTIONS, append_rows
from include.provenance import code_version, environment_hash
from include.registry.artifact import ModelVersion
from include.schema import TARGETS
from include.settings import Settings

NO_BARS = -1
"""The version of bars in a row whose forecast read none of them."""

HELD_ROWS = 200_000
"""Rows that are written by one call; more become files as they come, so that they never are in memory together."""

_THREADS = 2
_SHARED_SYMBOLS = 1 << 16
"""Up to so many symbols, a file may be written with all of their names in its dictionary."""


class Trail:
    """Rows on their way to `adhoc_predictions`; a context manager that ends its threads.

    Parameters
    ----------
    settings
        Where the lake is, and what is stamped on each row.
    model, run_id, upload_sha256
        What led to the forecasts.
    symbols
        string, the names by code.
    """

    def __init__(
        self, settings: Settings, model: ModelVersion, *, run_id: str, upload_sha256: str, symbols: pa.Array
    ) -> None:
        self._lake, self.rows = settings.lake, 0
        self._symbols, self._rank = symbols, rank_texts(symbols)
        self._stamps = {
            "model_name": model.name,
            "model_version": model.version,
            "model_kind": model.kind,
            "lookback": model.lookback,
            "bars_version": NO_BARS,
            "settings_hash": settings.fingerprint(),
            "environment_hash": environment_hash(),
            "code_version": code_version(),
            "shards": 1,
            "run_id": run_id,
            "scored_at": datetime.now(UTC),
            "upload_sha256": upload_sha256,
        }
        self._held: list[pa.Table] = []
        self._files: list[Future[AddAction]] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="trail")

    def add(self, found: Forecasts) -> None:
        """Add those rows that have a forecast."""
        found = found.take(np.isfinite(found.predicted[:, 0]))
        if not len(found.codes):
            return
        table = self._shape(found)
        self.rows += table.num_rows
        self._held.append(table)
        if self.rows > HELD_ROWS:
            self._write_held()

    def commit(self) -> int | None:
        """Make the rows part of the table; return its new version, None where there is no row."""
        if not self.rows:
            return None
        if not self._files:
            return append_rows(self._lake, ADHOC_PREDICTIONS, pa.concat_tables(self._held))
        self._write_held()
        return commit_files(self._lake, ADHOC_PREDICTIONS, [file.result() for file in self._files])

    def close(self) -> None:
        """End the threads; files that were not committed are in no version of the table."""
        self._pool.shutdown(cancel_futures=True)
        self._held = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_held(self) -> None:
        """Write what is held as files; wait for those of the block before."""
        for file in self._files:
            file.result()
        for table in self._held:
            day = table["as_of"][0].as_py()
            write = partial(write_file, self._lake, ADHOC_PREDICTIONS, day, table, measured=["run_id"])
            self._files.append(self._pool.submit(write))
        self._held = []

    def _shape(self, found: Forecasts) -> pa.Table:
        """Give two rows a forecast, ordered by symbol, session and target."""
        found, count = found.take(np.lexsort((found.as_of, self._rank[found.codes]))), len(TARGETS)
        codes = pa.array(np.repeat(found.codes, count))
        is_shared = len(self._symbols) <= _SHARED_SYMBOLS
        statuses, status = pa.array([each.value for each in STATUSES]), np.repeat(found.status, count)
        reasons = pa.array([say_reason(each, 0, 0) if each == FALLBACK else None for each in range(len(STATUSES))])
        columns: dict[str, pa.Array] = {
            "as_of": pa.array(np.repeat(found.as_of, count)).cast(pa.date32()),
            "target_session": pa.array(np.repeat(found.days, count)).cast(pa.date32()),
            "symbol": pa.DictionaryArray.from_arrays(codes, self._symbols) if is_shared else self._symbols.take(codes),
            "target": _encode(np.tile(np.arange(count), len(found.codes)), pa.array(TARGETS)),
            "predicted": pa.array(found.predicted.ravel()),
            "last_close": pa.array(np.repeat(found.last_close, count)),
            "status": _encode(status, statuses),
            "reason": reasons.take(pa.array(status)),
        }
        return self._stamp(columns, len(codes))

    def _stamp(self, columns: dict[str, pa.Array], rows: int) -> pa.Table:
        """Add what is the same in every row, and null for what an answer does not have."""
        for field in ADHOC_PREDICTIONS.schema:
            if field.name not in columns:
                value = self._stamps.get(field.name)
                if isinstance(value, str):
                    columns[field.name] = _encode(np.zeros(rows), pa.array([value]))
                else:
                    columns[field.name] = pa.repeat(pa.scalar(value, field.type), rows)
        return pa.table({name: columns[name] for name in ADHOC_PREDICTIONS.schema.names})


def _encode(codes: npt.NDArray[Any], texts: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), texts)
