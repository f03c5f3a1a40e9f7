"""Forecasts as they are read: of a session the newest run, all of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.lake.reads import read_partitions, read_where
from include.lake.runs import Run, require_run
from include.lake.tables import PREDICTIONS, Table, open_table


def read_newest_run(lake: Path, as_of: date, *, table: Table = PREDICTIONS) -> pa.Table:
    """Read the newest run of a session.

    Raises
    ------
    NotFoundError
        The session has no forecasts.
    """
    return read_forecasts(lake, require_run(lake, as_of, table=table))


def read_run(lake: Path, as_of: date, run_id: str, *, table: Table = PREDICTIONS) -> pa.Table:
    """Read one run of a session.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    return read_forecasts(lake, require_run(lake, as_of, run_id=run_id, table=table))


def read_forecasts(lake: Path, run: Run) -> pa.Table:
    """Read the forecasts of a run, in the table's own schema."""
    opened = open_table(lake, run.table)
    if run.table.partition is None:
        rows = read_where(opened, "run_id", run.run_id, run.run_id)
    else:
        rows = read_partitions(opened, "as_of", [run.as_of])
    # A column that came later stands at the end of an older table.
    return rows.filter(pc.field("run_id") == run.run_id).select(run.table.schema.names).cast(run.table.schema)
