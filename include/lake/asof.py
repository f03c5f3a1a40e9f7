"""Bars as they were known: at a version of the table, or at a moment.

The one read under training and scoring. Only the files of the wanted sessions are opened and only the wanted columns
are decoded, so that a read costs what it returns, after one year as after ten. What was known at a moment is told by
the catalog of operations, never by the times of files, which a restored backup changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.errors import InputError, NotFoundError
from include.lake.catalog import open_committed, version_known_at
from include.lake.files import choose_sessions, list_sessions, read_files
from include.lake.identity import NO_CHANGES, SymbolChanges, apply_changes
from include.lake.tables import BARS


def bars_as_of(
    lake: Path,
    *,
    version: int | None = None,
    known_at: datetime | None = None,
    sessions: Sequence[date] | None = None,
    symbols: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    changes: SymbolChanges = NO_CHANGES,
) -> pa.Table:
    """Read bars as they were known.

    Parameters
    ----------
    lake
        Folder of the tables.
    version, known_at
        A version of bars, or a moment with its time zone; give one at most. By default the newest committed version.
    sessions
        Which sessions; all by default. One without bars adds no row.
    symbols
        Which symbols, by the name that they have at the newest of these sessions; all by default.
    columns
        Which columns, in this order; all by default.
    changes
        Renames and redenominations; those known at the newest of these sessions are applied.

    Returns
    -------
    pyarrow.Table
        Rows by session and, within one, as they are stored (by symbol); symbol is dictionary encoded.

    Raises
    ------
    InputError
        Both version and known_at, a moment without a time zone, or a column that bars do not have.
    NotFoundError
        No such version, or nothing was known then, or the version is older than what is kept.
    """
    if version is not None and known_at is not None:
        raise InputError("bars are read at a version or at a moment, not both", value=f"{version}, {known_at}")
    if known_at is not None:
        version = version_known_at(lake, known_at)
    bars = open_committed(lake, BARS, version=version)
    wanted = list(columns) if columns is not None else BARS.schema.names
    if unknown := [name for name in wanted if name not in BARS.schema.names]:
        raise InputError(f"columns must be of {', '.join(BARS.schema.names)}", value=unknown[0], place="bars")
    days = list_sessions(bars) if sessions is None else sorted(set(sessions))
    return read_rows(bars, days, wanted, symbols=symbols, changes=changes)


def read_rows(
    bars: DeltaTable,
    sessions: Sequence[date],
    columns: Sequence[str],
    *,
    symbols: Sequence[str] | None = None,
    changes: SymbolChanges = NO_CHANGES,
    as_of: date | None = None,
) -> pa.Table:
    """Read sessions of an open table; see `bars_as_of`.

    Parameters
    ----------
    as_of
        The session at which changes of symbols are known; the newest of `sessions` by default.
    """
    known = changes.known_at(as_of or max(sessions, default=date.min))
    needed = list(dict.fromkeys([*columns, "session", "symbol"])) if known.lines else list(columns)
    stored = [name for name in needed if name != "session"]
    names = None if symbols is None else pa.array(sorted(known.predecessors(symbols)), pa.string())
    files = choose_sessions(bars, sessions)
    try:
        parts = read_files([path for _, path in files], stored, symbols=names)
    except FileNotFoundError as error:
        rule = "a version of bars must have all its files to be read (audit_window_days says how long they are kept)"
        raise NotFoundError(rule, value=f"version {bars.version()}", place=str(error.filename or error)) from error
    tables = [_with_session(part, needed, session) for part, (session, _) in zip(parts, files, strict=True)]
    rows = pa.concat_tables([_read_schema(needed).empty_table(), *tables])
    if known.lines:
        rows = apply_changes(rows, known, as_of=known.lines[-1].session)
        if symbols is not None:
            rows = rows.filter(pc.is_in(rows["symbol"], pa.array(list(symbols), pa.string())))
    return rows.select(list(columns))


def _with_session(part: pa.Table, columns: Sequence[str], session: date) -> pa.Table:
    """Add the session, which Delta keeps in the folder's name alone."""
    values = {name: part[name] for name in part.column_names}
    if "session" in columns:
        values["session"] = pa.repeat(pa.scalar(session, pa.date32()), part.num_rows)
    return pa.table([values[name] for name in columns], schema=_read_schema(columns))


def _read_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of these columns of bars as they come from Parquet here: symbol dictionary encoded."""
    fields = [BARS.schema.field(name) for name in columns]
    encoded = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(encoded) if field.name == "symbol" else field for field in fields])
