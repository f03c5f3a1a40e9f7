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

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from include.errors import InputError
from include.market.uploads import Upload
from include.schema import WINDOW_COLUMNS

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
    came = {day for upload in uploads for day in upload.bars["session"].unique().to_pylist()}
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
    bars = pa.concat_tables([upload.bars for upload in uploads])
    is_live = pc.is_in(bars["session"], pa.array(list(live), pa.date32()))
    refused = [row for upload in uploads for row in upload.refused["raw"].to_pylist()]
    history = pa.concat_tables([_as_text(bars.filter(pc.invert(is_live))), _as_came(refused)])
    paths = [_write(history, out / "history.csv")]
    arriving = bars.filter(is_live)
    for day in live:
        rows = arriving.filter(pc.field("session") == day)
        paths.append(_write(_as_text(rows), out / "uploads" / f"{day}.csv"))
    return Replay(paths[:1], paths[1:], list(live))


def _as_text(bars: pa.Table) -> pa.Table:
    columns = [bars["symbol"], *(bars[name].cast(pa.string()) for name in ("session", *WINDOW_COLUMNS))]
    return pa.table(columns, names=list(COLUMNS))


def _as_came(refused: Sequence[str]) -> pa.Table:
    """Read refused rows back from their JSON; what is no row of the accepted columns is left out."""
    rows = [raw for raw in map(json.loads, refused) if isinstance(raw, dict)]
    cells = {name: [_cell(row, name) for row in rows] for name in COLUMNS}
    return pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()})


def _cell(row: dict[str, object], name: str) -> str | None:
    value = row.get(name, row.get("session") if name == "date" else None)
    return None if value is None else str(value)


def _write(table: pa.Table, path: Path) -> Path:
    partial = path.with_name(f".{path.name}.part")
    pacsv.write_csv(table, partial, pacsv.WriteOptions(quoting_style="needed"))
    return partial.replace(path)
