"""Scoring runs: the row that commits one, and which run of a session is read.

The forecasts of a run are files first; then they become part of their table in one commit; then a row of
`scoring_runs` says so. Readers go by that row: they see all of a run or none of it, and what a dead process left
behind is in no run. Rows are chained by hash and hold the hash of the run's forecasts, so that neither can be changed
without notice.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.transaction import AddAction
from filelock import FileLock

from include.errors import NotFoundError
from include.lake.chain import GENESIS, hash_row
from include.lake.compact import compact_small
from include.lake.data_files import commit_files, write_file
from include.lake.reads import list_files, read_where
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS, SCORING_RUNS, Table, append_rows, find_table
from include.schema import BOUNDS

CONTENT = ("target_session", "symbol", "target", "predicted", *BOUNDS, "last_close", "volatility", "status", "reason")
"""Columns of a forecast that differ from row to row; all others are the run's, and its row has them too."""

RUN_ID = "closecast.run_id"
"""Metadata key of the commit that brings a run's forecasts into their table."""

MERGED_AFTER = 50
"""Runs between looks for small files of `scoring_runs` that want merging."""

ORDER = [("symbol", "ascending"), ("target_session", "ascending"), ("target", "descending")]
"""Of a run's rows as they are written: the open before the close."""


@dataclass(frozen=True)
class Part:
    """The forecasts of one shard, written and not yet part of the table: the file, its rows, the hash of them."""

    file: AddAction
    rows: int
    sha256: str


@dataclass(frozen=True)
class Run:
    """One row of `scoring_runs`; columns as in schema.SCORING_RUNS."""

    scored_into: str
    run_id: str
    as_of: date
    horizons: int
    model_name: str
    model_version: int
    model_kind: str
    lookback: int
    onnx_sha256: str
    trained_through: date | None
    bars_version: int
    calibration_version: int | None
    reference_version: str | None
    settings: str
    settings_hash: str
    environment_hash: str
    code_version: str
    shards: int
    symbols: int
    rows: int
    statuses: str
    content_sha256: str
    scored_at: datetime
    sequence: int = 0
    previous_hash: str = GENESIS
    hash: str = ""
    quarantine_version: int | None = None

    @property
    def table(self) -> Table:
        """Where the forecasts are."""
        return find_forecast_table(self.scored_into)


def find_forecast_table(name: str) -> Table:
    """Return the table of forecasts with this name."""
    return next(table for table in (PREDICTIONS, ADHOC_PREDICTIONS) if table.name == name)


def assign_shards(symbols: Sequence[str] | npt.NDArray[np.object_], shards: int) -> npt.NDArray[np.int64]:
    """Give each symbol its shard, 0..shards - 1, by its name alone (CRC-32): the same today and tomorrow."""
    if shards == 1:
        return np.zeros(len(symbols), dtype=np.int64)
    return np.fromiter((zlib.crc32(symbol.encode()) % shards for symbol in symbols), dtype=np.int64, count=len(symbols))


def write_part(lake: Path, table: Table, rows: pa.Table) -> Part:
    """Write the forecasts of one shard, ordered by symbol, as a file that no reader sees yet."""
    file = write_file(lake, table, rows["as_of"][0].as_py(), rows, measured=["run_id"])
    return Part(file, rows.num_rows, hash_forecasts(rows))


def commit_run(lake: Path, run: Run, parts: Sequence[Part]) -> Run:
    """Make the parts of a run readable, all at once; the same run again changes nothing.

    Returns
    -------
    Run
        As it was written, with its place in the chain.
    """
    lake.mkdir(parents=True, exist_ok=True)
    with FileLock(lake / ".scoring_runs.lock"):
        opened = find_table(lake, SCORING_RUNS)
        if opened is not None and (known := _read_run(opened, run.run_id)) is not None:
            return known
        commit_files(lake, run.table, [part.file for part in parts], metadata={RUN_ID: run.run_id})
        before = _read_newest(opened) if opened is not None else None
        written = replace(
            run,
            content_sha256=join_hashes([part.sha256 for part in parts]),
            sequence=before.sequence + 1 if before else 1,
            previous_hash=before.hash if before else GENESIS,
        )
        written = replace(written, hash=hash_row(asdict(written)))
        rows = pa.Table.from_pylist([asdict(written)], schema=SCORING_RUNS.schema)
        append_rows(lake, SCORING_RUNS, rows, opened=opened)
    if written.sequence % MERGED_AFTER == 0:  # opening a table to count its files takes as long as the row itself
        compact_small(lake, SCORING_RUNS)
    return written


def _read_newest(opened: DeltaTable) -> Run:
    newest = pc.max(list_files(opened)["max.sequence"]).as_py()
    return _read(read_where(opened, "sequence", newest, newest))[-1]


def find_run(lake: Path, run_id: str) -> Run | None:
    """Return a run by its id."""
    opened = find_table(lake, SCORING_RUNS)
    return None if opened is None else _read_run(opened, run_id)


def _read_run(opened: DeltaTable, run_id: str) -> Run | None:
    found = _read(read_where(opened, "run_id", run_id, run_id))
    return found[0] if found else None


def find_newest_run(lake: Path, as_of: date, *, table: Table = PREDICTIONS) -> Run | None:
    """Return the newest run of a session."""
    found = list_runs(lake, first=as_of, last=as_of, table=table)
    return found[-1] if found else None


def list_runs(
    lake: Path, *, first: date = date.min, last: date = date.max, table: Table | None = PREDICTIONS
) -> list[Run]:
    """Return the runs of the sessions from `first` to `last`, in the order of their commits; of all tables for None."""
    opened = find_table(lake, SCORING_RUNS)
    rows = read_where(opened, "as_of", first, last) if opened else SCORING_RUNS.schema.empty_table()
    return _read(rows.filter(pc.field("scored_into") == table.name) if table else rows)


def most_horizons(lake: Path) -> int:
    """Return the most sessions ahead that any run has spoken of; 0 before the first."""
    opened = find_table(lake, SCORING_RUNS)
    return int(pc.max(list_files(opened)["max.horizons"]).as_py()) if opened else 0


def scored_sessions(lake: Path, *, table: Table = PREDICTIONS) -> list[date]:
    """Return the sessions that have forecasts, oldest first."""
    opened = find_table(lake, SCORING_RUNS)
    if opened is None:
        return []
    rows = read_where(opened, "scored_into", table.name, table.name, columns=["as_of"])
    sessions: list[date] = pc.unique(rows["as_of"]).sort().to_pylist()
    return sessions


def require_run(lake: Path, as_of: date, *, run_id: str | None = None, table: Table = PREDICTIONS) -> Run:
    """Return a run of a session, the newest by default.

    Raises
    ------
    NotFoundError
        There is none.
    """
    if run_id is None:
        run = find_newest_run(lake, as_of, table=table)
        if run is None:
            raise NotFoundError(f"session {as_of} must have been scored", place=table.name)
        return run
    run = find_run(lake, run_id)
    if run is None or run.as_of != as_of or run.scored_into != table.name:
        raise NotFoundError(f"session {as_of} must have this run", value=run_id, place=table.name)
    return run


def _read(rows: pa.Table) -> list[Run]:
    # A table from before a column was known has rows without it.
    found: list[dict[str, Any]] = rows.sort_by("sequence").to_pylist()
    return [Run(**row) for row in found]


def hash_forecasts(rows: pa.Table) -> str:
    """Return the SHA-256 of forecasts, ordered by symbol, session and target, as hexadecimal text.

    Of the columns in `CONTENT` alone; of floats the bits, so that the smallest change is one.
    """
    found = hashlib.sha256(str(rows.num_rows).encode())
    for name in CONTENT:
        column = rows[name].combine_chunks()
        found.update(name.encode() + np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
        found.update(_column_bytes(column))
    return found.hexdigest()


def _column_bytes(column: pa.Array) -> bytes:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        return np.ascontiguousarray(pc.fill_null(column, 0.0).to_numpy(), dtype="<f8").tobytes()
    if pa.types.is_date(column.type):
        return np.ascontiguousarray(column.cast(pa.int32()).to_numpy(), dtype="<i4").tobytes()
    filled = pc.fill_null(column, "").cast(pa.string())
    lengths = np.ascontiguousarray(pc.binary_length(filled).to_numpy(), dtype="<i4").tobytes()
    whole = pa.ListArray.from_arrays([0, len(filled)], filled)
    return lengths + bytes(pc.binary_join(whole, "")[0].as_buffer())


def hash_run(rows: pa.Table, shards: int) -> str:
    """Return the hash that a run of these forecasts has, in whatever order they come."""
    ordered = rows.sort_by(ORDER)
    if shards == 1:
        return join_hashes([hash_forecasts(ordered)])
    shard = assign_shards(ordered["symbol"].to_pylist(), shards)
    return join_hashes(
        [hash_forecasts(ordered.filter(pa.array(shard == k))) for k in range(shards) if (shard == k).any()]
    )


def join_hashes(parts: Sequence[str]) -> str:
    """Return the hash of a run whose parts, in the order of their shards, have these."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()
