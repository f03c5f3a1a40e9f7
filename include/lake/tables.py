"""The Delta tables: where each lies, its schema and partition column, and the few ways in which they are written.

Only append and partition overwrite are used: no MERGE, no deletion vectors. A commit is atomic; a table's earlier
versions stay readable. Files are chosen by partition value or by the log's own statistics before Parquet is opened, so
a read costs what it returns and not what the table has come to hold.

Which version of bars, quarantine and restatements may be read is said by `include.lake.catalog`, not here.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from filelock import FileLock

from include import schema
from include.errors import NotFoundError

_CONFIGURATION = {
    # The log is what makes an old version readable; deltalake would drop what is older than 30 days at a checkpoint.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 3650 days",
}
_BATCH_ROWS = 1 << 15
_SMALL_GROUPS = WriterProperties(max_row_group_size=1 << 17)
"""The writer holds a row group in memory: of a million quarantined rows, as is its own default, that is half a GiB."""

_NO_CLEANUP = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


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


def append_rows(lake: Path, table: Table, rows: pa.Table | pa.RecordBatchReader) -> int:
    """Append rows in one commit and return the table's new version; a reader is written as it comes."""
    if (opened := find_table(lake, table)) is not None:
        _add_columns(opened, table)
    return _write(lake, table, rows, mode="append", predicate=None)


def add_missing_columns(lake: Path, table: Table) -> None:
    """Give a table that an earlier release has written the columns that came later, empty in its rows."""
    opened = find_table(lake, table)
    if opened:
        _add_columns(opened, table)


def replace_partitions(
    lake: Path, table: Table, rows: pa.Table | pa.RecordBatchReader, values: Sequence[date | str]
) -> int:
    """Replace the partitions with these values by `rows`, in one commit, and return the table's new version."""
    if table_version(lake, table) is None:
        return append_rows(lake, table, rows)
    wanted = ", ".join(f"'{value}'" for value in values)
    return _write(lake, table, rows, mode="overwrite", predicate=f"{table.partition} IN ({wanted})")


def _write(lake: Path, table: Table, rows: pa.Table | pa.RecordBatchReader, *, mode: str, predicate: str | None) -> int:
    path = table.path(lake)
    write_deltalake(  # type: ignore[call-overload]  # its overloads tie mode to predicate
        path,
        rows.cast(table.schema),
        mode=mode,
        predicate=predicate,
        partition_by=[table.partition] if table.partition else None,
        name=table.name,
        configuration=_CONFIGURATION,
        writer_properties=_SMALL_GROUPS,
        post_commithook_properties=_NO_CLEANUP,
    )
    return int(DeltaTable(path).version())


def lock_lake(lake: Path) -> FileLock:
    """Return the lock under which bars change, so that no two ingests lose a row."""
    lake.mkdir(parents=True, exist_ok=True)
    return FileLock(lake / ".ingest.lock")


def write_file(lake: Path, table: Table, value: date, rows: pa.Table, *, measured: Sequence[str] = ()) -> AddAction:
    """Write one data file of a partition and return what `commit_files` needs to make it part of the table.

    Until then no reader sees it. The name is new each time: a file that an older version refers to is never rewritten.
    It holds the SHA-256 of the content, so that a file that was changed in its place is told by its name in the log.
    The log keeps the least and the greatest symbol, which rows are ordered by, and those of the `measured` columns.
    """
    texts = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    partition = {table.partition: value.isoformat()} if table.partition else {}
    # Prices hardly repeat: a dictionary of them costs twice the time. Arrow's own schema would make text a dictionary.
    written = pa.BufferOutputStream()
    pq.write_table(rows.drop_columns(list(partition)), written, use_dictionary=texts, store_schema=False)
    content = written.getvalue()
    unique = f"{uuid.uuid4().hex[:12]}-{hashlib.sha256(content).hexdigest()}.parquet"
    name = "/".join([*(f"{key}={said}" for key, said in partition.items()), unique])
    path = Path(table.path(lake)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    bounds = {"symbol": {"min": rows["symbol"][0].as_py(), "max": rows["symbol"][-1].as_py()}}
    bounds |= {name: _find_bounds(rows[name]) for name in measured}
    stats = {
        "numRecords": rows.num_rows,
        "minValues": {name: found["min"] for name, found in bounds.items()},
        "maxValues": {name: found["max"] for name, found in bounds.items()},
    }
    return AddAction(
        path=name,
        size=path.stat().st_size,
        partition_values=dict(partition),
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(stats),
    )


def named_hash(path: Path) -> str | None:
    """Return the SHA-256 that a data file was written with; None for one whose name does not hold it."""
    found = re.fullmatch(r"[0-9a-f]{12}-([0-9a-f]{64})\.parquet", path.name)
    return found[1] if found else None


def _find_bounds(column: pa.ChunkedArray) -> dict[str, Any]:
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    found: dict[str, Any] = pc.min_max(plain).as_py()
    return found


def remove_file(lake: Path, table: Table, file: AddAction) -> None:
    """Remove a data file that is not part of its table."""
    (Path(table.path(lake)) / file.path).unlink(missing_ok=True)


def read_file(lake: Path, table: Table, file: AddAction) -> pa.Table:
    """Read one data file that may not be part of its table yet."""
    rows = pq.read_table(Path(table.path(lake)) / file.path, partitioning=None)
    value = date.fromisoformat(str(file.partition_values[str(table.partition)]))
    rows = rows.append_column(table.partition, pa.repeat(pa.scalar(value, pa.date32()), rows.num_rows))
    return rows.select(table.schema.names).cast(table.schema)


def commit_files(
    lake: Path,
    table: Table,
    added: Sequence[AddAction],
    *,
    replaced: Collection[date] = (),
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Make files part of the table in place of what the replaced partitions hold, in one commit.

    Parameters
    ----------
    lake, table
        A table, partitioned by a date or not at all; it is created where it is not there.
    added
        As `write_file` gives them.
    replaced
        Partition values whose present files leave the table (older versions keep them).
    metadata
        Written into the commit.

    Returns
    -------
    int
        The table's new version.
    """
    path = table.path(lake)
    partition_by = [table.partition] if table.partition else []
    opened = DeltaTable.create(
        path, table.schema, mode="ignore", partition_by=partition_by, name=table.name, configuration=_CONFIGURATION
    )
    _add_columns(opened, table)
    removed = _remove_partitions(opened, table, replaced) if replaced else []
    opened.create_write_transaction(
        [*removed, *added],
        "append",
        table.schema,
        partition_by,
        commit_properties=CommitProperties(custom_metadata=dict(metadata or {})),
        post_commithook_properties=_NO_CLEANUP,
    )
    opened.update_incremental()
    return int(opened.version())


def _add_columns(opened: DeltaTable, table: Table) -> None:
    """Give a table from before a column was known that column; in the rows that are there it is null."""
    present = set(pa.schema(opened.schema().to_arrow()).names)
    missing = [field.with_nullable(True) for field in table.schema if field.name not in present]
    if missing:
        opened.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))


def _remove_partitions(opened: DeltaTable, table: Table, values: Collection[date]) -> list[RemoveAction]:
    files = list_files(opened).select(["path", "size_bytes", f"partition.{table.partition}"])
    present = files.filter(pc.is_in(files.column(2), pa.array(list(values), pa.date32())))
    now = int(time.time() * 1000)
    return [
        RemoveAction(path, True, now, size, {str(table.partition): value.isoformat()})
        for path, size, value in zip(*(column.to_pylist() for column in present.columns), strict=True)
    ]


def list_files(table: DeltaTable) -> pa.Table:
    """Return the files of an open table as its log has them.

    Returns
    -------
    pyarrow.Table
        path, size_bytes, num_records, `partition.NAME`, and `min.COLUMN`, `max.COLUMN` where statistics were written.
    """
    return pa.table(table.get_add_actions(flatten=True))


def read_partitions(
    table: DeltaTable, key: str, values: Iterable[date | str], *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read the partitions of a column, only those files and only those columns.

    Returns
    -------
    pyarrow.Table
        `columns` (all by default); symbol comes dictionary encoded. No rows where no partition has such a value.
    """
    wanted = [str(value) for value in values]
    files = sorted(table.file_uris(file_pruning_predicate=[(key, "in", wanted)])) if wanted else []
    fields = pa.schema(table.schema().to_arrow())
    names = list(columns) if columns is not None else fields.names
    if not files:
        return pa.schema([_dictionary(fields.field(name)) for name in names]).empty_table()
    form = ds.ParquetFileFormat(read_options={"dictionary_columns": ["symbol"]})
    shape = pa.schema([_dictionary(field) for field in fields])
    return _open_files(table, files, form, fields.field(key), shape).to_table(columns=names)


def iterate_partitions(table: DeltaTable, shape: Table, values: Sequence[date | str]) -> Iterator[pa.RecordBatch]:
    """Read partitions a batch at a time, in the table's own schema: for rows that may be too many for memory.

    The files are chosen at once and not with the first batch: deltalake, while it writes what a generator gives, can't
    be asked for files.
    """
    key = str(shape.partition)
    files = table.file_uris(file_pruning_predicate=[(key, "in", [str(value) for value in values])])
    found = _open_files(table, files, ds.ParquetFileFormat(), shape.schema.field(key))
    return (
        batch.cast(shape.schema)
        for batch in found.to_batches(columns=shape.schema.names, batch_size=_BATCH_ROWS, batch_readahead=1)
    )


def read_where(
    table: DeltaTable, key: str, low: object, high: object, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read the rows whose `key`, no partition column, lies between two values, both included.

    Only the files are opened whose statistics, kept in the log, allow such a row.
    """
    fields = pa.schema(table.schema().to_arrow())
    names = list(columns) if columns is not None else fields.names
    actions = list_files(table)
    bounds = [pc.fill_null(pc.greater_equal(actions[f"max.{key}"], pa.scalar(low, fields.field(key).type)), True)]
    bounds.append(pc.fill_null(pc.less_equal(actions[f"min.{key}"], pa.scalar(high, fields.field(key).type)), True))
    paths = actions["path"].filter(pc.and_(*bounds)).to_pylist()
    if not paths:
        return pa.schema([fields.field(name) for name in names]).empty_table()
    files = [f"{table.table_uri.rstrip('/')}/{path}" for path in paths]
    (partition,) = table.metadata().partition_columns or (None,)
    found = _open_files(table, files, ds.ParquetFileFormat(), fields.field(partition) if partition else None, fields)
    return found.to_table(columns=names, filter=(pc.field(key) >= low) & (pc.field(key) <= high))


def _open_files(
    table: DeltaTable,
    files: Sequence[str],
    form: ds.FileFormat,
    partition: pa.Field | None,
    fields: pa.Schema | None = None,
) -> ds.Dataset:
    """Open some of a table's files by Arrow's own file system.

    In the schema that is given; by default in that of the first file, which an earlier release may have written with
    fewer columns.

    Never by `to_pyarrow_table`: that reads through a file system written in Python, and an Arrow thread that frees its
    last buffer after the interpreter has ended aborts the process (seen in every second short command).
    """
    hive = ds.partitioning(pa.schema([partition]), flavor="hive") if partition else None
    root = _as_path(table.table_uri).rstrip("/")
    paths = [_as_path(file) for file in files]
    return ds.dataset(paths, schema=fields, format=form, partitioning=hive, partition_base_dir=root)


def _as_path(uri: str) -> str:
    """Turn what deltalake calls a file into a path: a blank in a folder's name comes as %20."""
    return unquote(uri.removeprefix("file://"))


def _dictionary(field: pa.Field) -> pa.Field:
    """Give symbol the type that it has when it comes from Parquet here."""
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name == "symbol" else field


def read_all(lake: Path, table: Table, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole small table; no rows where it has not been written yet."""
    names = list(columns or table.schema.names)
    return read_opened(find_table(lake, table), table, columns=names)


def read_opened(opened: DeltaTable | None, table: Table, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all of an open table; no rows where there is none."""
    names = list(columns or table.schema.names)
    files = opened.file_uris() if opened else []
    if opened is None or not files:
        return table.schema.empty_table().select(names)
    partition = table.schema.field(table.partition) if table.partition else None
    found = _open_files(opened, files, ds.ParquetFileFormat(), partition, table.schema).to_table(columns=names)
    return found.cast(pa.schema([table.schema.field(name) for name in names]))
