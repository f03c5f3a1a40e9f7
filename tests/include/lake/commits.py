"""Rows put into a table and its catalog without an upload, for tests of what reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from include.lake.catalog import append_operation, committed_state
from include.lake.tables import BARS, QUARANTINE, Table, append_rows, replace_partitions
from include.schema import UPLOADS


def put_rows(lake: Path, table: Table, rows: pa.Table, *, replacing: bool = False, at: datetime | None = None) -> int:
    """Commit rows as an upload would, and return the table's version."""
    state = committed_state(lake)
    values = rows[table.partition].unique().to_pylist()
    version = replace_partitions(lake, table, rows, values) if replacing else append_rows(lake, table, rows)
    versions = {"bars": state.bars, "quarantine": state.quarantine, table.name: version}
    moment = at or datetime.now(UTC)
    texts = {
        "sha256": f"{state.sequence + 1:064x}",
        "kind": "upload",
        "name": "rows",
        "status": "complete",
        "who": "a test",
    }
    numbers = dict.fromkeys((field.name for field in UPLOADS if field.type == pa.int64()), 0)
    row = numbers | texts | {"sequence": state.sequence + 1, "started_at": moment, "finished_at": moment}
    append_operation(
        lake,
        row
        | {
            "bars_version": versions["bars"],
            "quarantine_version": versions["quarantine"],
            "restatements_version": state.restatements,
        },
    )
    return version


def put_bars(lake: Path, rows: pa.Table, *, replacing: bool = False, at: datetime | None = None) -> int:
    """Commit bars."""
    return put_rows(lake, BARS, rows, replacing=replacing, at=at)


def put_quarantine(lake: Path, rows: pa.Table) -> int:
    """Commit quarantined rows."""
    return put_rows(lake, QUARANTINE, rows)
