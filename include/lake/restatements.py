"""What a correction changed, cell by cell, and which forecasts had been made from the numbers before it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.lake.catalog import find_committed, find_operation
from include.lake.files import list_sessions
from include.lake.predictions import read_newest_run
from include.lake.reads import read_partitions, read_where
from include.lake.runs import scored_sessions
from include.lake.tables import BARS, PREDICTIONS, RESTATEMENTS, open_table

_COLUMNS = [
    *("as_of", "target_session", "symbol", "run_id", "model_kind", "model_version"),
    *("lookback", "bars_version", "scored_at"),
]

_LONGEST_LOOKBACK = 64
"""Sessions after a changed one in which forecasts are looked for; no model may look back further."""


def read_restatements(lake: Path, sha256: str) -> pa.Table:
    """Return the cells that an upload changed, schema.RESTATEMENTS ordered by session, symbol and column."""
    table = find_committed(lake, RESTATEMENTS)
    if table is None:
        return RESTATEMENTS.schema.empty_table()
    order = [(name, "ascending") for name in ("session", "symbol", "column")]
    return read_where(table, "upload_sha256", sha256, sha256).sort_by(order)


def find_touched_forecasts(lake: Path, sha256: str) -> pa.Table:
    """Find the published forecasts whose window holds a bar that an upload corrected, or added after they were made.

    Returns
    -------
    pyarrow.Table
        as_of, target_session, symbol, run_id, model_kind, model_version, lookback, bars_version, scored_at: a row a
        symbol and run that read a version of bars before the upload's.
    """
    found = _find_brought(lake, sha256)
    nothing = pa.schema([PREDICTIONS.schema.field(name) for name in _COLUMNS]).empty_table()
    if found is None:
        return nothing
    version, sessions, brought = found
    near = {day for at in sorted({at for places in brought.values() for at in places}) for day in _reach(sessions, at)}
    wanted = [day for day in scored_sessions(lake) if day in near]
    if not wanted:
        return nothing
    rows = read_partitions(open_table(lake, PREDICTIONS), "as_of", wanted, columns=[*_COLUMNS, "target"])
    earlier = (pc.field("bars_version") < version) & (pc.field("target") == "open")
    rows = rows.filter(earlier & pc.field("symbol").isin(pa.array(list(brought), pa.string()))).select(_COLUMNS)
    position = {session: at for at, session in enumerate(sessions)}
    asked = zip(*(rows[name].to_pylist() for name in ("symbol", "as_of", "lookback")), strict=True)
    touched = [any(0 <= position[as_of] - at < lookback for at in brought[symbol]) for symbol, as_of, lookback in asked]
    return rows.filter(pa.array(touched, pa.bool_()))


def _reach(sessions: list[date], at: int) -> list[date]:
    return sessions[at : at + _LONGEST_LOOKBACK]


def _find_brought(lake: Path, sha256: str) -> tuple[int, list[date], dict[str, set[int]]] | None:
    """Return the version of bars after an upload, the sessions, and for each symbol which of them the upload brought.

    Only sessions that a scored one looks back on are read: a first load of ten years touches no forecast.
    """
    operation, bars, scored = find_operation(lake, sha256), find_committed(lake, BARS), scored_sessions(lake)
    if operation is None or bars is None or not scored or operation["first_session"] is None:
        return None
    sessions = list_sessions(bars)
    oldest = max(sessions.index(scored[0]) - _LONGEST_LOOKBACK, 0) if scored[0] in sessions else 0
    first, last = max(operation["first_session"], sessions[oldest]), operation["last_session"]
    span = [day for day in sessions if first <= day <= last]
    rows = read_partitions(bars, "session", span, columns=["symbol", "session", "upload_sha256"])
    rows = rows.filter(pc.field("upload_sha256") == sha256)
    # A cell that a later upload corrected once more is no longer this one's; its forecasts were touched all the same.
    cells = read_restatements(lake, sha256)
    pairs = {
        *zip(rows["symbol"].to_pylist(), rows["session"].to_pylist(), strict=True),
        *zip(cells["symbol"].to_pylist(), cells["session"].to_pylist(), strict=True),
    }
    position = {session: at for at, session in enumerate(sessions)}
    brought: dict[str, set[int]] = {}
    for symbol, session in pairs:
        if session in position:
            brought.setdefault(symbol, set()).add(position[session])
    return int(operation["bars_version"]), sessions, brought


def list_touched_sessions(lake: Path, sha256: str) -> list[date]:
    """Return the scored sessions, oldest first, in whose windows rows of an upload stand that were not there before."""
    found = _find_brought(lake, sha256)
    if found is None:
        return []
    _, sessions, brought = found
    places = sorted({at for each in brought.values() for at in each})
    near = {day for at in places for day in _reach(sessions, at)}
    positions = {day: sessions.index(day) for day in scored_sessions(lake) if day in near}
    lookbacks = {day: _read_lookback(lake, day) for day in positions}
    return [day for day, here in positions.items() if any(0 <= here - at < lookbacks[day] for at in places)]


def _read_lookback(lake: Path, as_of: date) -> int:
    return int(pc.max(read_newest_run(lake, as_of)["lookback"]).as_py())


def describe_cell(row: dict[str, Any]) -> str:
    """Say one restated cell in words."""
    return f"{row['session']} {row['symbol']} {row['column']}: was {_show(row['was'])}, is {_show(row['is'])}"


def _show(value: float | None) -> str:
    return "missing" if value is None else repr(value)
