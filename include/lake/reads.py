"""Reads of the Delta tables.

Files are chosen by partition value or by the log's own statistics before Parquet is opened, so a read costs what it
returns and not what the table has come to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from include.lake.tables import Table, find_table

_BATCH_ROWS = 1 << 15


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
    found = _open_files(table, files, ds.ParquetFileFormat(), shape.schema.field(key), shape.schema)
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
    fields: pa.Schema,
) -> ds.Dataset:
    """Open some of a table's files by Arrow's own file system.

    In the table's schema, and not that of the first file, which an earlier release may have written with fewer columns.

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
