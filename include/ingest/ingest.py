"""An upload becomes bars: read, refuse what breaks a rule, merge with what is there, commit, keep the file.

Rows in the file = accepted + quarantined + exact duplicates, always. The row in `uploads` is written last of the tables
and is the commit point: what an ingest that died before it left behind is taken back by the next one, which ends in the
same state. The file is moved to its place, named by its SHA-256 and read-only, after that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from errno import EXDEV
from pathlib import Path

from include.errors import InputError
from include.ingest.changes import LakeChanges, Stamp
from include.ingest.inbox import is_in_inbox, list_arrived
from include.ingest.judge import judge_rows
from include.ingest.report import IngestReport, Origin, name_status, report_from_row
from include.lake.catalog import (
    append_operation,
    committed_state,
    find_committed,
    find_operation,
    recover_lake,
)
from include.lake.tables import BARS, list_partitions, lock_lake
from include.market.sessions import newest_closed_session
from include.market.uploads import Upload, read_upload
from include.quality.suites import load_suites
from include.settings import Settings

Progress = Callable[[int, int], None]

_BY_HAND = Origin()


def ingest_upload(
    settings: Settings,
    path: Path,
    *,
    origin: Origin = _BY_HAND,
    expected_session: date | None = None,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Ingest one upload.

    Parameters
    ----------
    settings
        Where the lake is, which calendar the sessions must be on, how an ambiguous date is read.
    path
        A CSV (plain, .gz, .zst) or Parquet file. One in the inbox is moved to its kept place, any other is copied.
    origin
        Who brings it, and why.
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
    report = find_upload(settings, upload.sha256) or _commit(settings, upload, origin, started_at=started_at)
    if path.exists() and _identity(path) == identity:  # else another upload has taken the name: its own turn comes
        _keep_file(settings, path, upload.sha256, move=is_in_inbox(settings, path))
    return report


def find_upload(settings: Settings, sha256: str) -> IngestReport | None:
    """Return the report of an upload with these bytes, or None where there is none yet."""
    row = find_operation(settings.lake, sha256)
    return report_from_row(row, already_ingested=True) if row else None


def _commit(settings: Settings, upload: Upload, origin: Origin, *, started_at: datetime) -> IngestReport:
    """Judge the rows against what is there and write the tables, the row of `uploads` last, under the lake's lock."""
    with lock_lake(settings.lake):
        # Another process may have ingested the same bytes while this one read them.
        if (known := find_upload(settings, upload.sha256)) is not None:
            return known
        recover_lake(settings.lake)
        changes = LakeChanges(settings.lake, Stamp(upload.sha256, datetime.now(UTC)))
        changes.refused.append(upload.refused)
        newest = newest_closed_session(settings.calendar, datetime.now(UTC))
        suite = load_suites(settings).rows
        changes.add(judge_rows(upload.bars, settings.calendar, suite, newest_session=newest))
        report = _commit_tables(settings, upload, origin, changes, started_at)
        append_operation(settings.lake, report.row())
    return report


def _commit_tables(
    settings: Settings, upload: Upload, origin: Origin, changes: LakeChanges, started_at: datetime
) -> IngestReport:
    """Commit every table but `uploads`, and report."""
    state = committed_state(settings.lake)
    versions = changes.commit(state)
    counts, sessions = changes.counts, changes.sessions
    return IngestReport(
        sequence=state.sequence + 1,
        sha256=upload.sha256,
        kind=origin.kind,
        name=upload.name,
        size_bytes=upload.size_bytes,
        status=name_status(counts["accepted"], counts["quarantined"]),
        rows=upload.rows,
        first_session=sessions[0] if sessions else None,
        last_session=sessions[-1] if sessions else None,
        sessions=len(sessions),
        of_sha256=origin.of_sha256,
        who=origin.who,
        why=origin.why,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        accepted=counts["accepted"],
        quarantined=counts["quarantined"],
        duplicates=counts["duplicates"],
        added=counts["added"],
        restated=counts["restated"],
        unchanged=counts["unchanged"],
        released=counts["released"],
        bars_version=versions["bars_version"],
        quarantine_version=versions["quarantine_version"],
        restatements_version=versions["restatements_version"],
    )


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
    bars = None if reports else find_committed(settings.lake, BARS)
    if not reports and (bars is None or session not in list_partitions(bars)):
        raise InputError(f"an upload for session {session} must be in the inbox", place=str(settings.inbox))
    return reports
