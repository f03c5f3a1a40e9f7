"""Data files of a table: written by pyarrow, each named by its content, and made part of the table in one commit."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import (
    CommitProperties,
    DeltaTable,
)
from deltalake.transaction import AddAction, RemoveAction

from include.lake.reads import list_files
from include.lake.tables import CONFIGURATION, NO_CLEANUP, Table, add_columns, find_table


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
    try:
        path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
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
    opened = find_table(lake, table) or DeltaTable.create(
        path, table.schema, mode="ignore", partition_by=partition_by, name=table.name, configuration=CONFIGURATION
    )
    add_columns(opened, table)
    removed = _remove_partitions(opened, table, replaced) if replaced else []
    opened.create_write_transaction(
        [*removed, *added],
        "append",
        table.schema,
        partition_by,
        commit_properties=CommitProperties(custom_metadata=dict(metadata or {})),
        post_commithook_properties=NO_CLEANUP,
    )
    opened.update_incremental()
    return int(opened.version())


def _remove_partitions(opened: DeltaTable, table: Table, values: Collection[date]) -> list[RemoveAction]:
    files = list_files(opened).select(["path", "size_bytes", f"partition.{table.partition}"])
    present = files.filter(pc.is_in(files.column(2), pa.array(list(values), pa.date32())))
    now = int(time.time() * 1000)
    return [
        RemoveAction(path, True, now, size, {str(table.partition): value.isoformat()})
        for path, size, value in zip(*(column.to_pylist() for column in present.columns), strict=True)
    ]
