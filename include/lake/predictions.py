"""Forecasts as they are read: of a session the newest run, all of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import NotFoundError
from include.lake.files import list_sessions
from include.lake.tables import PREDICTIONS, Table, open_table, read_partitions, table_version


def scored_sessions(lake: Path, *, table: Table = PREDICTIONS) -> list[date]:
    """Return the sessions that have forecasts, oldest first."""
    return [] if table_version(lake, table) is None else list_sessions(open_table(lake, table))


def read_newest_run(lake: Path, as_of: date, *, table: Table = PREDICTIONS) -> pa.Table:
    """Read the newest run of a session.

    Raises
    ------
    NotFoundError
        The session has no forecasts.
    """
    rows = read_partitions(open_table(lake, table), "as_of", [as_of])
    if not rows.num_rows:
        raise NotFoundError(f"session {as_of} must have been scored", place=table.name)
    newest = pc.max(rows["scored_at"])
    run = rows.filter(pc.field("scored_at") == newest)["run_id"][0]
    return rows.filter(pc.field("run_id") == run).cast(table.schema)


def read_run(lake: Path, as_of: date, run_id: str, *, table: Table = PREDICTIONS) -> pa.Table:
    """Read one run of a session.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    rows = read_partitions(open_table(lake, table), "as_of", [as_of]).filter(pc.field("run_id") == run_id)
    if not rows.num_rows:
        raise NotFoundError(f"session {as_of} must have this run", value=run_id, place=table.name)
    return rows.cast(table.schema)
