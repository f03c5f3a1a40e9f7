"""A file of many sessions made into what would have arrived: a bulk history, then one upload a session.

Numbers are written as the reader understood them, shortest form that reads back the same; cells that could not be read
are written as they came, so that the rows refused in the file are refused again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from include.errors import InputError
from include.files import hold_partial
from include.schema import WINDOW_COLUMNS
from include.uploads.columns import match_columns
from include.uploads.read import Upload

COLUMNS = ("symbol", "date", *WINDOW_COLUMNS)


@dataclass(frozen=True)
class Replay:
    """Files that arrive: the history at once, then `uploads`, oldest session first, with the session of each."""

    history: list[Path]
    uploads: list[Path]
    sessions: list[date]


def live_sessions(uploads: Sequence[Upload], known: Sequence[date], count: int) -> list[date]:
    """Return the newest `count` sessions among `known`, the calendar's, that the uploads have rows for.

    Raises
    ------
    InputError
        No session would be left for the history.
    """
    came = {day for upload in uploads for day in upload.bars.sessions()}
    found = sorted(came & set(known))
    if len(found) <= count:
        raise InputError(f"the data must hold more than {count} sessions of the calendar", value=len(found))
    return found[-count:]


def write_replay(uploads: Sequence[Upload], live: Sequence[date], out: Path) -> Replay:
    """Write the history and one upload for each live session.

    Parameters
    ----------
    uploads
        As read; rows after the first live session that are of no live session go to the history.
    live
        Oldest first.
    out
        Folder: `history.csv` and `uploads/YYYY-MM-DD.csv` are made in it.
    """
    (out / "uploads").mkdir(parents=True, exist_ok=True)
    readings = [
        part for upload in uploads for part in (_as_text(upload.bars.to_table()), _as_came(upload.refused.to_table()))
    ]
    rows = pa.concat_tables(readings)
    days = [day.isoformat() for day in live]
    history = rows.filter(pc.invert(pc.is_in(rows["date"], pa.array(days, pa.string()))))
    paths = [_write(history, out / "history.csv")]
    paths += [_write(rows.filter(pc.field("date") == day), out / "uploads" / f"{day}.csv") for day in days]
    return Replay(paths[:1], paths[1:], list(live))


def _as_text(bars: pa.Table) -> pa.Table:
    columns = [bars["symbol"], *(bars[name].cast(pa.string()) for name in ("session", *WINDOW_COLUMNS))]
    return pa.table(columns, names=list(COLUMNS))


def _as_came(refused: pa.Table) -> pa.Table:
    """Read refused rows back from their JSON; a line whose fields could not be told apart has no session: left out."""
    rows = [_read_cells(row) for row in refused.filter(pc.field("session").is_valid()).to_pylist()]
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in COLUMNS})


def _read_cells(row: dict[str, Any]) -> dict[str, str]:
    """Give a refused row's cells by meaning; the date as ISO, since a file keeps to one form of date."""
    came = json.loads(row["raw"])
    cells = {meaning: list(came.values())[at] for meaning, at in match_columns(list(came), "quarantine").items()}
    return {name: str(cell) for name, cell in (cells | {"date": row["session"]}).items() if cell is not None}


def _write(table: pa.Table, path: Path) -> Path:
    with hold_partial(path) as partial:
        pacsv.write_csv(table, partial, pacsv.WriteOptions(quoting_style="needed"))
    return path
