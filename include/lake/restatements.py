"""What a correction changed, cell by cell, and which forecasts had been made from the numbers before it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.lake.catalog import find_committed, find_operation
from include.lake.files import list_sessions
from include.lake.predictions import read_newest_run, scored_sessions
from include.lake.tables import (
    BARS,
    PREDICTIONS,
    RESTATEMENTS,
    open_table,
    read_partitions,
    read_where,
)

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
    """Find the published forecasts whose window held a cell as it was before an upload corrected it.

    Returns
    -------
    pyarrow.Table
        as_of, target_session, symbol, run_id, model_kind, model_version, lookback, bars_version, scored_at: a row a
        symbol and run that read a version of bars before the upload's. No rows where the upload corrected nothing.
    """
    operation, cells = find_operation(lake, sha256), read_restatements(lake, sha256)
    scored = scored_sessions(lake)
    bars = find_committed(lake, BARS)
    if operation is None or bars is None or not cells.num_rows or not scored:
        return pa.schema([PREDICTIONS.schema.field(name) for name in _COLUMNS]).empty_table()
    sessions = list_sessions(bars)
    first, last = (sessions.index(end(cells["session"]).as_py()) for end in (pc.min, pc.max))
    near = set(sessions[first : last + _LONGEST_LOOKBACK])
    wanted = [session for session in scored if session in near]
    rows = read_partitions(open_table(lake, PREDICTIONS), "as_of", wanted, columns=[*_COLUMNS, "target"])
    earlier = (pc.field("bars_version") < operation["bars_version"]) & (pc.field("target") == "open")
    rows = rows.filter(earlier & pc.field("symbol").isin(cells["symbol"].unique())).select(_COLUMNS)
    return rows.filter(pa.array(_had_in_window(rows, cells, sessions), pa.bool_()))


def list_touched_sessions(lake: Path, sha256: str) -> list[date]:
    """Return the scored sessions, oldest first, in whose windows rows of an upload stand that were not there before."""
    operation, bars = find_operation(lake, sha256), find_committed(lake, BARS)
    if operation is None or bars is None or operation["first_session"] is None:
        return []
    sessions = list_sessions(bars)
    span = [day for day in sessions if operation["first_session"] <= day <= operation["last_session"]]
    rows = read_partitions(bars, "session", span, columns=["session", "upload_sha256"])
    brought = {sessions.index(day) for day in rows.filter(pc.field("upload_sha256") == sha256)["session"].to_pylist()}
    near = {day for at in brought for day in sessions[at : at + _LONGEST_LOOKBACK]}
    positions = {day: sessions.index(day) for day in scored_sessions(lake) if day in near}
    lookbacks = {day: _read_lookback(lake, day) for day in positions}
    return [day for day, here in positions.items() if any(0 <= here - at < lookbacks[day] for at in brought)]


def _read_lookback(lake: Path, as_of: date) -> int:
    return int(pc.max(read_newest_run(lake, as_of)["lookback"]).as_py())


def _had_in_window(rows: pa.Table, cells: pa.Table, sessions: list[date]) -> list[bool]:
    """Tell for each forecast whether one of its symbol's changed sessions lies in its window."""
    position = {session: at for at, session in enumerate(sessions)}
    changed: dict[str, set[int]] = {}
    for symbol, session in zip(cells["symbol"].to_pylist(), cells["session"].to_pylist(), strict=True):
        changed.setdefault(symbol, set()).add(position[session])
    asked = zip(*(rows[name].to_pylist() for name in ("symbol", "as_of", "lookback")), strict=True)
    return [
        any(0 <= position[as_of] - at < lookback for at in changed.get(symbol, ())) for symbol, as_of, lookback in asked
    ]


def describe_cell(row: dict[str, Any]) -> str:
    """Say one restated cell in words."""
    return f"{row['session']} {row['symbol']} {row['column']}: was {_show(row['was'])}, is {_show(row['is'])}"


def _show(value: float | None) -> str:
    return "missing" if value is None else f"{value:.10g}"
