"""What the lake is known to hold: the newest row of `uploads` names the version of each table that may be read.

Several tables change for one upload, and no two of them in one commit. So the row in `uploads`, written last, is the
commit point: what a dead process left behind in bars, quarantine or restatements is a version that no row names, which
no reader opens and which the next writer takes back (`recover_lake`). What was known at a moment is read here too,
never from the times of the log's files, which a restore changes.

A commit that changes files and no row (compaction) says so in its metadata and needs no row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable

from include.errors import InputError, NotFoundError
from include.lake.reads import list_files, read_where
from include.lake.tables import (
    BARS,
    QUARANTINE,
    RESTATEMENTS,
    UPLOADS,
    Table,
    append_rows,
    find_table,
    not_written,
    open_table,
)

NEUTRAL = "closecast.neutral"
"""Metadata key of a commit that leaves every row as it was."""

_RESTORES = "closecast.restores"

CATALOGUED = (BARS, QUARANTINE, RESTATEMENTS)


@dataclass(frozen=True)
class LakeState:
    """Versions of the catalogued tables after operation number `sequence`; None where a table is not there yet."""

    sequence: int = 0
    bars: int | None = None
    quarantine: int | None = None
    restatements: int | None = None
    finished_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def version_of(self, table: Table) -> int | None:
        """Return the version of one table."""
        version: int | None = getattr(self, table.name)
        return version


def committed_state(lake: Path) -> LakeState:
    """Read the newest row of `uploads`; a lake without any is at sequence 0."""
    opened = find_table(lake, UPLOADS)
    if opened is None:
        return LakeState()
    newest = pc.max(list_files(opened)["max.sequence"]).as_py()
    (row,) = read_where(opened, "sequence", newest, newest).to_pylist()
    versions = (row["bars_version"], row["quarantine_version"], row["restatements_version"])
    return LakeState(row["sequence"], *versions, row["finished_at"])


def open_committed(
    lake: Path, table: Table, *, version: int | None = None, state: LakeState | None = None
) -> DeltaTable:
    """Open a catalogued table at the newest version that may be read, or at an earlier one.

    Parameters
    ----------
    lake, table
        Which table.
    version
        An earlier version.
    state
        As `committed_state` gave it a moment ago; by default it is asked for.

    Raises
    ------
    NotFoundError
        Nothing was committed to the table yet, or it has no such version.
    """
    if version is not None:
        return _open_known(lake, table, version)
    known = (state or committed_state(lake)).version_of(table)
    if known is None:
        raise not_written(lake, table)
    opened = open_table(lake, table)
    visible = _visible_version(opened, known)
    return opened if visible == opened.version() else open_table(lake, table, version=visible)


def _open_known(lake: Path, table: Table, version: int) -> DeltaTable:
    """Open a version that the catalog names, or one that has a named one's rows."""
    opened, uploads = open_table(lake, table, version=version), find_table(lake, UPLOADS)
    column = f"{table.name}_version"
    named = read_where(uploads, column, 0, version, columns=[column]) if uploads else None
    base = pc.max(named[column]).as_py() if named is not None and named.num_rows else None
    if base is None or (base != version and _visible_version(opened, base) != version):
        raise NotFoundError("a version must be one that an upload was committed with", value=version, place=table.name)
    return opened


def find_committed(lake: Path, table: Table, state: LakeState | None = None) -> DeltaTable | None:
    """Open a catalogued table as `open_committed` does, or return None where nothing was committed to it."""
    state = state or committed_state(lake)
    return None if state.version_of(table) is None else open_committed(lake, table, state=state)


def _visible_version(opened: DeltaTable, known: int) -> int:
    """Return the newest version that has the catalogued one's rows: after neutral commits, or after a return to it."""
    newest = opened.version()
    visible, is_same = known, True
    for commit in reversed(opened.history(newest - known) if newest > known else []):
        is_same = commit.get(_RESTORES) == str(visible) or (is_same and commit.get(NEUTRAL) == "true")
        if is_same:
            visible = int(commit["version"])
    return visible


def recover_lake(lake: Path) -> LakeState:
    """Take back what a dead process committed to a table without its row in `uploads`; return the lake's state.

    Call it under `lock_lake`.
    """
    state = committed_state(lake)
    for table in CATALOGUED:
        if (opened := find_table(lake, table)) is not None:
            _recover_table(opened, state.version_of(table))
    return state


def _recover_table(opened: DeltaTable, known: int | None) -> None:
    if known is None:
        # No version of it is one to return to: deltalake makes a table and writes the first rows in one commit.
        if opened.file_uris():
            opened.delete()
        return
    visible = _visible_version(opened, known)
    if visible != opened.version():
        opened.restore(visible, commit_properties=CommitProperties(custom_metadata={_RESTORES: str(visible)}))


def append_operation(lake: Path, row: dict[str, Any]) -> None:
    """Write the row that commits an operation."""
    append_rows(lake, UPLOADS, pa.Table.from_pylist([row], schema=UPLOADS.schema))


def find_operation(lake: Path, sha256: str) -> dict[str, Any] | None:
    """Return the row of an upload with these bytes, or None."""
    opened = find_table(lake, UPLOADS)
    found = read_where(opened, "sha256", sha256, sha256).to_pylist() if opened else []
    return found[0] if found else None


def read_operations(lake: Path, *, prefix: str = "") -> list[dict[str, Any]]:
    """Return the catalog's rows, oldest first; with `prefix`, those whose hash begins so."""
    opened = find_table(lake, UPLOADS)
    rows = read_where(opened, "sha256", prefix, prefix + "g") if opened else UPLOADS.schema.empty_table()
    found: list[dict[str, Any]] = rows.sort_by("sequence").to_pylist()
    return found


def list_releases(lake: Path) -> set[str]:
    """Return the hashes of the uploads that are releases: their rows stand against the rule that had refused them."""
    opened = find_table(lake, UPLOADS)
    if opened is None:
        return set()
    return set(read_where(opened, "kind", "release", "release", columns=["sha256"])["sha256"].to_pylist())


def version_known_at(lake: Path, moment: datetime, *, table: Table = BARS) -> int:
    """Return the version of a catalogued table, by default of bars, that could be read at a moment.

    Raises
    ------
    InputError
        The moment has no time zone.
    NotFoundError
        There was none yet.
    """
    if moment.tzinfo is None:
        raise InputError("a moment must say its time zone", value=moment.isoformat(), place="known_at")
    opened = find_table(lake, UPLOADS)
    if opened is not None:
        began, column = datetime.min.replace(tzinfo=moment.tzinfo), f"{table.name}_version"
        known = read_where(opened, "finished_at", began, moment, columns=["sequence", "finished_at", column])
        known = known.filter(pc.is_valid(known[column])).sort_by("sequence")
        if known.num_rows:
            return int(known[column][-1].as_py())
    raise NotFoundError(f"{table.name} must have been known at this moment", value=moment.isoformat(), place="uploads")
