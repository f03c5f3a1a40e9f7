"""The bars that a forecast was made from, as they were known to its run: each with its upload and how it was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from include.audit.files import is_whole
from include.lake.asof import read_rows
from include.lake.bars import open_bars, sessions_up_to
from include.lake.catalog import read_operations
from include.lake.files import choose_sessions
from include.lake.identity_file import load_kept_changes
from include.lake.reads import read_partitions
from include.lake.runs import Run
from include.lake.tables import VALIDATIONS, find_table
from include.schema import WINDOW_COLUMNS
from include.settings import Settings

NOT_VALIDATED = "not validated"


@dataclass(frozen=True)
class WindowRow:
    """One session of a window.

    Attributes
    ----------
    bar
        `schema.WINDOW_COLUMNS` by name, in the symbol's name and unit of the run's session; None where there is no row.
    upload_sha256, upload_name, ingested_at
        What brought the row.
    validation
        What the newest validation of the session before the run found, in words; the symbol's own failures named.
    is_whole
        Whether the data file is as it was written; None where that is not known.
    """

    session: date
    bar: Mapping[str, float | None] | None
    upload_sha256: str | None
    upload_name: str | None
    ingested_at: datetime | None
    validation: str
    is_whole: bool | None


def read_window(settings: Settings, run: Run, symbol: str) -> list[WindowRow]:
    """Read the sessions that a run's model looked back on, for one symbol, oldest first.

    Raises
    ------
    NotFoundError
        The bars of that version are not kept any more.
    """
    bars = open_bars(settings.lake, version=run.bars_version)
    sessions = sessions_up_to(bars, run.as_of, count=run.lookback)
    columns = ["session", "symbol", *WINDOW_COLUMNS, "upload_sha256", "ingested_at"]
    changes = load_kept_changes(settings, run.reference_version)
    rows = read_rows(bars, sessions, columns, symbols=[symbol], changes=changes, as_of=run.as_of)
    found = {row["session"]: row for row in rows.to_pylist()}
    whole = _check_whole(choose_sessions(bars, sessions))
    names = {row["sha256"]: row["name"] for row in read_operations(settings.lake)}
    said = read_validations(settings.lake, sessions, symbol, before=run.scored_at)
    return [_describe_row(day, found.get(day), names, said[day], whole[day]) for day in sessions]


def _check_whole(files: Sequence[tuple[date, Path]]) -> dict[date, bool | None]:
    """Say of each session whether all its files are as they were written; None where one can't be checked."""
    whole: dict[date, bool | None] = {}
    for session, path in files:
        known, before = is_whole(path), whole.get(session, True)
        whole[session] = False if False in (known, before) else None if None in (known, before) else True
    return whole


def _describe_row(
    session: date, row: Mapping[str, Any] | None, names: Mapping[str, str], said: str, whole: bool | None
) -> WindowRow:
    if row is None:
        return WindowRow(session, None, None, None, None, said, whole)
    bar = {name: row[name] for name in WINDOW_COLUMNS}
    sha256 = row["upload_sha256"]
    return WindowRow(session, bar, sha256, names.get(sha256), row["ingested_at"], said, whole)


def read_validations(lake: Path, sessions: Sequence[date], symbol: str, *, before: datetime) -> dict[date, str]:
    """Say in a few words what each session's newest validation up to a moment found."""
    opened = find_table(lake, VALIDATIONS)
    said = dict.fromkeys(sessions, NOT_VALIDATED)
    if opened is None:
        return said
    wanted = ["session", "suite", "expectation", "severity", "success", "symbols", "validated_at"]
    rows = read_partitions(opened, "session", sessions, columns=wanted)
    rows = rows.filter((pc.field("suite") == "session") & (pc.field("validated_at") <= before))
    by_session: dict[date, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        by_session.setdefault(row["session"], []).append(row)
    for session, several in by_session.items():
        newest = max(row["validated_at"] for row in several)
        said[session] = _say([row for row in several if row["validated_at"] == newest], symbol)
    return said


def _say(results: Sequence[Mapping[str, Any]], symbol: str) -> str:
    failed = [row for row in results if not row["success"]]
    word = "blocked" if any(row["severity"] == "session" for row in failed) else "passed"
    warned = f", {len(failed)} warning(s)" if failed and word == "passed" else ""
    own = [row["expectation"] for row in failed if symbol in row["symbols"]]
    named = f"; this symbol: {', '.join(own)}" if own else ""
    return f"{word}{warned}{named}"
