"""An upload becomes bars: read, refuse what breaks a rule, merge with what is there, commit, keep the file.

Rows in the file = accepted + quarantined + exact duplicates, always. The row in `uploads` is written last of the tables
and is the commit point: an ingest that died before it is done again from the start and ends in the same state, since
bars are replaced by whole sessions and quarantine by whole uploads. The file is moved to its place, named by its
SHA-256 and read-only, after that.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from errno import EXDEV
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import ClosecastError, InputError
from include.ingest.duplicates import split_duplicates
from include.ingest.inbox import is_in_inbox, list_arrived
from include.lake.tables import (
    BARS,
    QUARANTINE,
    UPLOADS,
    append_rows,
    list_partitions,
    lock_lake,
    open_table,
    read_all,
    read_partitions,
    replace_partitions,
    table_version,
)
from include.market.uploads import Upload, read_upload
from include.quality.rows import ROW_EXPECTATIONS, find_broken_rows
from include.settings import Settings

CONFLICT = "one_row_a_symbol_and_session"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IngestReport:
    """What became of one upload; `rows = accepted + quarantined + duplicates`."""

    sha256: str
    name: str
    size_bytes: int
    rows: int
    accepted: int
    quarantined: int
    duplicates: int
    first_session: date | None
    last_session: date | None
    sessions: int
    bars_version: int | None
    started_at: datetime
    finished_at: datetime
    already_ingested: bool = False

    def summary(self) -> str:
        """Return one line for people, the count of rows explained."""
        if self.already_ingested:
            return f"{self.name}: these bytes were ingested before, as {self.sha256[:12]}; nothing to do"
        span = f"{self.first_session} to {self.last_session}" if self.sessions > 1 else f"{self.first_session}"
        return (
            f"{self.name}: {self.rows:,} rows = {self.accepted:,} accepted + {self.quarantined:,} quarantined"
            f" + {self.duplicates:,} exact duplicates; {self.sessions} session(s), {span};"
            f" bars version {self.bars_version}"
        )


def ingest_upload(
    settings: Settings, path: Path, *, expected_session: date | None = None, on_progress: Progress | None = None
) -> IngestReport:
    """Ingest one file.

    Parameters
    ----------
    settings
        Where the lake is, which calendar the sessions must be on, how an ambiguous date is read.
    path
        A CSV (plain, .gz, .zst) or Parquet file. One in the inbox is moved to its kept place, any other is copied.
    expected_session
        The session that the upload is awaited for; settles a date that can be read two ways.
    on_progress
        Called with bytes done and bytes in all.

    Raises
    ------
    InputError
        The file breaks a rule of its form; nothing was written.
    """
    started_at = datetime.now(UTC)
    identity = _identity(path) if path.exists() else None
    upload = read_upload(
        path, date_order=settings.date_order, expected_session=expected_session, on_progress=on_progress
    )
    known = find_upload(settings, upload.sha256)
    if known is None:
        accepted, refused, duplicates = judge_rows(upload, settings.calendar)
        known = _commit(settings, upload, accepted, refused, duplicates=duplicates, started_at=started_at)
    if path.exists() and _identity(path) == identity:  # else another upload has taken the name: its own turn comes
        _keep_file(settings, path, upload.sha256, move=is_in_inbox(settings, path))
    return known


def find_upload(settings: Settings, sha256: str) -> IngestReport | None:
    """Return the report of an upload with these bytes, or None where there is none yet."""
    found = read_all(settings.lake, UPLOADS).filter(pc.field("sha256") == sha256).to_pylist()
    return IngestReport(**found[0], already_ingested=True) if found else None


def judge_rows(upload: Upload, calendar: str) -> tuple[pa.Table, pa.Table, int]:
    """Part the rows of an upload.

    Returns
    -------
    accepted
        Rows that become bars, ordered by session and symbol.
    refused
        Rows for quarantine, with expectation and reason.
    duplicates
        How many rows repeated an accepted one to the last number.
    """
    bars = upload.bars.to_table()
    broken = find_broken_rows(bars, calendar)
    sound = bars.filter(pa.array(broken < 0))
    split = split_duplicates(sound)
    refused = [upload.refused.to_table()]
    for position, expectation in enumerate(ROW_EXPECTATIONS):
        rows = bars.filter(pa.array(broken == position))
        refused.append(_as_refused(rows, expectation.name, expectation.sentence))
    conflicting = sound.take(pa.array(split.conflicting))
    refused.append(_as_refused(conflicting, CONFLICT, "another row of the same symbol and session is more complete"))
    # What the reader refused and what the rules refuse differ in which fields may be null.
    quarantine = pa.concat_tables(refused, promote_options="permissive").sort_by("row_number")
    accepted = sound.take(pa.array(split.kept))
    if accepted.num_rows + quarantine.num_rows + len(split.exact) != upload.rows:
        raise ClosecastError(
            "rows must equal accepted + quarantined + duplicates", value=upload.rows, place=upload.name
        )
    return accepted, quarantine, len(split.exact)


def _as_refused(rows: pa.Table, expectation: str, reason: str) -> pa.Table:
    """Shape bars as quarantined rows; the values as they were read, since they could be read."""
    raw = [json.dumps(row, default=str) for row in rows.drop_columns("row_number").to_pylist()]
    count = rows.num_rows
    columns = {
        "row_number": rows["row_number"],
        "symbol": rows["symbol"],
        "session": rows["session"],
        "expectation": pa.array([expectation] * count, pa.string()),
        "reason": pa.array([reason] * count, pa.string()),
        "raw": pa.array(raw, pa.string()),
    }
    return pa.table(columns)


def _commit(
    settings: Settings,
    upload: Upload,
    accepted: pa.Table,
    refused: pa.Table,
    *,
    duplicates: int,
    started_at: datetime,
) -> IngestReport:
    """Write quarantine, bars and the row of `uploads`, in this order, under the lake's lock."""
    sessions: list[date] = accepted["session"].unique().sort().to_pylist()
    with lock_lake(settings.lake):
        # Another process may have ingested the same bytes while this one read them.
        if (known := find_upload(settings, upload.sha256)) is not None:
            return known
        now = datetime.now(UTC)
        if refused.num_rows:
            _write_quarantine(settings.lake, refused, upload.sha256, now)
        version = _write_bars(settings.lake, accepted, sessions, upload.sha256, now) if sessions else None
        report = IngestReport(
            sha256=upload.sha256,
            name=upload.name,
            size_bytes=upload.size_bytes,
            rows=upload.rows,
            accepted=accepted.num_rows,
            quarantined=refused.num_rows,
            duplicates=duplicates,
            first_session=sessions[0] if sessions else None,
            last_session=sessions[-1] if sessions else None,
            sessions=len(sessions),
            bars_version=version,
            started_at=started_at,
            finished_at=datetime.now(UTC),
        )
        row = {name: value for name, value in asdict(report).items() if name != "already_ingested"}
        append_rows(settings.lake, UPLOADS, pa.Table.from_pylist([row], schema=UPLOADS.schema))
    return report


def _write_quarantine(lake: Path, refused: pa.Table, sha256: str, now: datetime) -> None:
    rows = _stamp(refused, QUARANTINE.schema, upload_sha256=sha256, quarantined_at=now)
    replace_partitions(lake, QUARANTINE, rows, [sha256])


def _write_bars(lake: Path, accepted: pa.Table, sessions: list[date], sha256: str, now: datetime) -> int:
    """Replace the sessions that the upload touches: its rows, and of the rows that were there those it has not."""
    rows = _stamp(accepted.drop_columns("row_number"), BARS.schema, upload_sha256=sha256, ingested_at=now)
    present = _present_sessions(lake, sessions)
    if not present:
        return append_rows(lake, BARS, rows)
    before = read_partitions(open_table(lake, BARS), "session", present).select(BARS.schema.names).cast(BARS.schema)
    untouched = before.join(rows.select(["symbol", "session"]), keys=["symbol", "session"], join_type="left anti")
    both = pa.concat_tables([rows, untouched.select(BARS.schema.names).cast(BARS.schema)])
    return replace_partitions(lake, BARS, both.sort_by([("session", "ascending"), ("symbol", "ascending")]), sessions)


def _present_sessions(lake: Path, sessions: list[date]) -> list[date]:
    if table_version(lake, BARS) is None:
        return []
    return sorted(set(list_partitions(open_table(lake, BARS))) & set(sessions))


def _stamp(rows: pa.Table, schema: pa.Schema, **constants: Any) -> pa.Table:
    """Add columns of one value each and put all in the schema's order."""
    for name, value in constants.items():
        column = pa.repeat(pa.scalar(value, schema.field(name).type), rows.num_rows)
        rows = rows.append_column(schema.field(name), column)
    return rows.select(schema.names).cast(schema)


def _identity(path: Path) -> tuple[int, int, int]:
    """Tell a file from another that takes its name."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _keep_file(settings: Settings, path: Path, sha256: str, *, move: bool) -> None:
    """Put the upload where its hash says, read-only; a file that is there already has the same bytes."""
    suffix = "".join(path.suffixes[-2:]) if path.suffix in (".gz", ".zst") else path.suffix
    kept = settings.uploads / sha256[:2] / f"{sha256}{suffix}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(f".{kept.name}.{os.getpid()}")
    with suppress(FileNotFoundError):  # another ingest of the same file has moved it
        if not kept.exists():
            _bring(path, partial, move=move)
            # Read-only before it has its name: a kept file can never be written.
            partial.chmod(0o444)
            partial.replace(kept)
        elif move:
            path.unlink()


def _bring(path: Path, target: Path, *, move: bool) -> None:
    """Rename a file, or copy it: a link, what lies outside the inbox, and what lies on another device."""
    if move and not path.is_symlink():
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != EXDEV:
                raise
        else:
            return
    shutil.copyfile(path, target)
    if move:
        path.unlink()


def ingest_session(settings: Settings, session: date, *, on_progress: Progress | None = None) -> list[IngestReport]:
    """Ingest every upload that the inbox holds for a session.

    Returns
    -------
    list of IngestReport
        One an upload; empty where the inbox holds none any more because a try before this one moved them.

    Raises
    ------
    InputError
        Neither the inbox nor the lake has the session.
    """
    arrived = list_arrived(settings, session)
    reports = [ingest_upload(settings, path, expected_session=session, on_progress=on_progress) for path in arrived]
    if not reports and not _present_sessions(settings.lake, [session]):
        raise InputError(f"an upload for session {session} must be in the inbox", place=str(settings.inbox))
    return reports
