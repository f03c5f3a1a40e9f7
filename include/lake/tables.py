"""The Delta tables: where each lies, its schema and partition column, and the two writes that are used.

Only append and partition overwrite are used: no MERGE, no deletion vectors. A commit is atomic; a table's earlier
versions stay readable. Files are chosen by partition value before Parquet is opened, so a read costs what it returns
and not what the table has come to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from filelock import FileLock

from include import schema
from include.errors import NotFoundError


@dataclass(frozen=True)
class Table:
    """A table of the lake; `partition` is a date column, or None where the table is small."""

    name: str
    schema: pa.Schema
    partition: str | None = None

    def path(self, lake: Path) -> str:
        """Return the table's folder below `lake`."""
        return str(lake / self.name)


BARS = Table("bars", schema.BARS, partition="session")
QUARANTINE = Table("quarantine", schema.QUARANTINE, partition="upload_sha256")
UPLOADS = Table("uploads", schema.UPLOADS)
VALIDATIONS = Table("validations", schema.VALIDATIONS, partition="session")
PREDICTIONS = Table("predictions", schema.PREDICTIONS, partition="as_of")
ADHOC_PREDICTIONS = Table("adhoc_predictions", schema.PREDICTIONS, partition="as_of")
PROMOTIONS = Table("promotions", schema.PROMOTIONS)


def open_table(lake: Path, table: Table, *, version: int | None = None) -> DeltaTable:
    """Open a table, at its newest version or at an earlier one.

    Raises
    ------
    NotFoundError
        The table has not been written yet, or has no such version.
    """
    path = table.path(lake)
    if not DeltaTable.is_deltatable(path):
        rule = f"table {table.name} must have been written before it is read (closecast ingest FILE begins a lake)"
        raise NotFoundError(rule, place=path)
    try:
        return DeltaTable(path, version=version)
    except Exception as error:  # deltalake has one exception for several causes; all mean that the version is not there
        raise NotFoundError(f"table {table.name} must have this version", value=version, place=path) from error


def table_version(lake: Path, table: Table) -> int | None:
    """Return the newest version number, or None where the table has not been written yet."""
    path = table.path(lake)
    return int(DeltaTable(path).version()) if DeltaTable.is_deltatable(path) else None


def append_rows(lake: Path, table: Table, rows: pa.Table) -> int:
    """Append rows in one commit and return the table's new version."""
    return _write(lake, table, rows, mode="append", predicate=None)


def replace_partitions(lake: Path, table: Table, rows: pa.Table, values: Sequence[date | str]) -> int:
    """Replace the partitions with these values by `rows`, in one commit, and return the table's new version."""
    if table_version(lake, table) is None:
        return append_rows(lake, table, rows)
    wanted = ", ".join(f"'{value}'" for value in values)
    return _write(lake, table, rows, mode="overwrite", predicate=f"{table.partition} IN ({wanted})")


def _write(lake: Path, table: Table, rows: pa.Table, *, mode: str, predicate: str | None) -> int:
    path = table.path(lake)
    partition_by = [table.partition] if table.partition else None
    write_deltalake(  # type: ignore[call-overload]  # its overloads tie mode to predicate
        path, rows.cast(table.schema), mode=mode, predicate=predicate, partition_by=partition_by, name=table.name
    )
    return int(DeltaTable(path).version())


def lock_lake(lake: Path) -> FileLock:
    """Return the lock under which read-then-replace of bars happens, so that no two ingests lose a row."""
    lake.mkdir(parents=True, exist_ok=True)
    return FileLock(lake / ".ingest.lock")


def list_partitions(table: DeltaTable) -> list[date]:
    """Return the distinct partition dates of an open table, oldest first."""
    actions = table.get_add_actions(flatten=True)
    (column,) = (name for name in actions.schema.names if name.startswith("partition."))
    return sorted(set(pa.chunked_array(actions.column(column)).drop_null().to_pylist()))


def read_partitions(
    table: DeltaTable, key: str, values: Iterable[date], *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read the partitions of a date column, only those files and only those columns.

    Returns
    -------
    pyarrow.Table
        `columns` (all by default); symbol comes dictionary encoded. No rows where no partition has such a value.
    """
    wanted = [value.isoformat() for value in values]
    files = table.file_uris(file_pruning_predicate=[(key, "in", wanted)]) if wanted else []
    fields = pa.schema(table.schema().to_arrow())
    names = list(columns) if columns is not None else fields.names
    if not files:
        return pa.schema([_dictionary(fields.field(name)) for name in names]).empty_table()
    form = ds.ParquetFileFormat(read_options={"dictionary_columns": ["symbol"]})
    return _open_files(table, files, form, fields.field(key)).to_table(columns=names)


def _open_files(table: DeltaTable, files: Sequence[str], form: ds.FileFormat, partition: pa.Field | None) -> ds.Dataset:
    """Open some of a table's files by Arrow's own file system.

    Never by `to_pyarrow_table`: that reads through a file system written in Python, and an Arrow thread that frees its
    last buffer after the interpreter has ended aborts the process (seen in every second short command).
    """
    hive = ds.partitioning(pa.schema([partition]), flavor="hive") if partition else None
    root = _as_path(table.table_uri).rstrip("/")
    return ds.dataset([_as_path(file) for file in files], format=form, partitioning=hive, partition_base_dir=root)


def _as_path(uri: str) -> str:
    """Turn what deltalake calls a file into a path: a blank in a folder's name comes as %20."""
    return unquote(uri.removeprefix("file://"))


def _dictionary(field: pa.Field) -> pa.Field:
    """Give symbol the type that it has when it comes from Parquet here."""
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name == "symbol" else field


def read_all(lake: Path, table: Table, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole small table; no rows where it has not been written yet."""
    names = list(columns or table.schema.names)
    opened = DeltaTable(table.path(lake)) if DeltaTable.is_deltatable(table.path(lake)) else None
    files = opened.file_uris() if opened else []
    if opened is None or not files:
        return table.schema.empty_table().select(names)
    partition = table.schema.field(table.partition) if table.partition else None
    found = _open_files(opened, files, ds.ParquetFileFormat(), partition).to_table(columns=names)
    return found.cast(pa.schema([table.schema.field(name) for name in names]))
