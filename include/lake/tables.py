"""The Delta tables: where each lies, its schema and partition column, and the few ways in which they are written.

Only append and partition overwrite are used: no MERGE, no deletion vectors. A commit is atomic; a table's earlier
versions stay readable. Reads are in `include.lake.reads`, data files that we write ourselves in
`include.lake.data_files`.

Which version of bars, quarantine and restatements may be read is said by `include.lake.catalog`, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import (
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import TableNotFoundError
from filelock import FileLock

from include import schema
from include.errors import NotFoundError

CONFIGURATION = {
    # The log is what makes an old version readable; deltalake would drop what is older than 30 days at a checkpoint.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
    # To open a table is to read each commit since its last checkpoint: at deltalake's hundred, five times as long.
    "delta.checkpointInterval": "10",
}
_SMALL_GROUPS = WriterProperties(max_row_group_size=1 << 17)
"""The writer holds a row group in memory: of a million quarantined rows, as is its own default, that is half a GiB."""

NO_CLEANUP = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


@dataclass(frozen=True)
class Table:
    """A table of the lake; `partition` is a column whose values have folders, or None where the table is small."""

    name: str
    schema: pa.Schema
    partition: str | None = None

    def path(self, lake: Path) -> str:
        """Return the table's folder below `lake`."""
        return str(lake / self.name)


BARS = Table("bars", schema.BARS, partition="session")
QUARANTINE = Table("quarantine", schema.QUARANTINE, partition="upload_sha256")
RESTATEMENTS = Table("restatements", schema.RESTATEMENTS)
UPLOADS = Table("uploads", schema.UPLOADS)
VALIDATIONS = Table("validations", schema.VALIDATIONS, partition="session")
PREDICTIONS = Table("predictions", schema.PREDICTIONS, partition="as_of")
ADHOC_PREDICTIONS = Table("adhoc_predictions", schema.PREDICTIONS)
SCORING_RUNS = Table("scoring_runs", schema.SCORING_RUNS)
CALIBRATIONS = Table("calibrations", schema.CALIBRATIONS)
OUTCOMES = Table("outcomes", schema.OUTCOMES, partition="target_session")
PROMOTIONS = Table("promotions", schema.PROMOTIONS)


def not_written(lake: Path, table: Table) -> NotFoundError:
    """Give the error of a reader who comes before the first writer."""
    rule = f"table {table.name} must have been written before it is read (closecast ingest FILE begins a lake)"
    return NotFoundError(rule, place=table.path(lake))


def find_table(lake: Path, table: Table) -> DeltaTable | None:
    """Open a table at its newest version; None where it has not been written yet."""
    try:
        # Its own is_deltatable lists the whole log first, which takes longer with every commit.
        return DeltaTable(table.path(lake))
    except TableNotFoundError:
        return None


def open_table(lake: Path, table: Table, *, version: int | None = None) -> DeltaTable:
    """Open a table, at its newest version or at an earlier one.

    Raises
    ------
    NotFoundError
        The table has not been written yet, or has no such version.
    """
    try:
        return DeltaTable(table.path(lake), version=version)
    except TableNotFoundError:
        raise not_written(lake, table) from None
    except Exception as error:  # deltalake has one exception for several causes; all mean that the version is not there
        rule = f"table {table.name} must have this version"
        raise NotFoundError(rule, value=version, place=table.path(lake)) from error


def table_version(lake: Path, table: Table) -> int | None:
    """Return the newest version number, or None where the table has not been written yet."""
    opened = find_table(lake, table)
    return int(opened.version()) if opened else None


def append_rows(
    lake: Path, table: Table, rows: pa.Table | pa.RecordBatchReader, *, opened: DeltaTable | None = None
) -> int:
    """Append rows in one commit and return the table's new version; a reader is written as it comes.

    `opened` is the table where the caller has it open already.
    """
    if opened is None:
        opened = find_table(lake, table)
    if opened is not None:
        add_columns(opened, table)
    return _write(lake, table, opened, rows, mode="append")


def replace_partitions(
    lake: Path, table: Table, rows: pa.Table | pa.RecordBatchReader, values: Sequence[date | str]
) -> int:
    """Replace the partitions with these values by `rows`, in one commit, and return the table's new version."""
    opened = find_table(lake, table)
    if opened is None:
        return append_rows(lake, table, rows)
    wanted = ", ".join(f"'{value}'" for value in values)
    return _write(lake, table, opened, rows, mode="overwrite", predicate=f"{table.partition} IN ({wanted})")


def _write(
    lake: Path,
    table: Table,
    opened: DeltaTable | None,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    mode: str,
    predicate: str | None = None,
) -> int:
    """Write to a table that is open, or make it."""
    write_deltalake(  # type: ignore[call-overload]  # its overloads tie mode to predicate
        table.path(lake) if opened is None else opened,
        rows.cast(table.schema),
        mode=mode,
        predicate=predicate,
        partition_by=[table.partition] if table.partition else None,
        name=table.name,
        configuration=CONFIGURATION if opened is None else None,
        writer_properties=_SMALL_GROUPS,
        post_commithook_properties=NO_CLEANUP,
    )
    written = DeltaTable(table.path(lake)) if opened is None else opened
    return int(written.version())


def lock_lake(lake: Path) -> FileLock:
    """Return the lock under which bars change, so that no two ingests lose a row."""
    lake.mkdir(parents=True, exist_ok=True)
    return FileLock(lake / ".ingest.lock")


def add_columns(opened: DeltaTable, table: Table) -> None:
    """Give a table from before a column was known that column; in the rows that are there it is null."""
    present = set(pa.schema(opened.schema().to_arrow()).names)
    missing = [field.with_nullable(True) for field in table.schema if field.name not in present]
    if missing:
        opened.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
