"""An upload becomes bars: read, refuse what breaks a rule, merge with what is there, commit, keep the file.

Rows in the file = accepted + quarantined + exact duplicates, always. The row in `uploads` is written last of the tables
and is the commit point: what an ingest that died before it left behind is taken back by the next one, which ends in the
same state. The file is moved to its place, named by its SHA-256 and read-only, after that.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from include.disk import explain_disk
from include.errors import InputError, NotFoundError, UnavailableError
from include.ingest.changes import LakeChanges, Stamp
from include.ingest.inbox import is_in_inbox, list_arrived, open_source, require_finished, require_unchanged
from include.ingest.judge import RowRules, Verdict, judge_rows
from include.ingest.report import IngestReport, Origin, name_status, report_from_row
from include.ingest.store import hold_file, keep_upload
from include.lake.catalog import LakeState, append_operation, find_committed, find_operation, recover_lake
from include.lake.compact import compact_small
from include.lake.files import list_sessions
from include.lake.tables import BARS, RESTATEMENTS, UPLOADS, lock_lake
from include.market.sessions import newest_ingestible_session
from include.quality.suites import load_suites
from include.settings import Settings
from include.uploads.read import Upload, read_upload
from include.uploads.source import Source
from include.uploads.stream import Progress

_GROUP_ROWS = 250_000
"""Rows judged at once: while one group is judged, the files of the one before are written by other threads."""

_COMPACT_EVERY = 50
"""Operations between looks at the catalog's small files: a read opens each of them."""


@dataclass(frozen=True)
class _Task:
    """One upload on its way: who brings it, which rules it is let off, and since when."""

    origin: Origin
    overridden: Collection[str]
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def ingest_upload(
    settings: Settings,
    upload: Source | Path | str,
    *,
    origin: Origin | None = None,
    overridden: Collection[str] = (),
    expected_session: date | None = None,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Ingest one upload.

    Parameters
    ----------
    settings
        Where the lake is, which calendar the sessions must be on, how an ambiguous date is read.
    upload
        A CSV (plain, .gz, .zst) or Parquet file, or a folder of such parts closed by `_SUCCESS`; a path, an s3://
        address, or a source. One in the inbox is moved to its kept place, any other is copied.
    origin
        Who brings it, and why.
    overridden
        Names of row expectations that its rows are let off: of a release alone.
    expected_session
        The session that the upload is awaited for; settles a date that can be read two ways.
    on_progress
        Called with bytes done, bytes in all, and words for people.

    Raises
    ------
    InputError
        The upload breaks a rule of its form, or changed while it was read; nothing was written. Or the lake or the
        place of uploads may not be written.
    UnavailableError
        No room is left, or an object store does not answer. The same call again ends what was begun. Or another file
        took the upload's place after its bars were committed; the same call again ingests that one.
    """
    task = _Task(origin or Origin(), overridden)
    source = open_source(upload, retry_s=settings.store_retry_s) if isinstance(upload, Path | str) else upload
    require_finished(settings, source)
    identity = source.identity()
    rules = _load_rules(settings, task)
    with hold_file(source) as held:
        with read_upload(
            source,
            scratch=settings.scratch,
            date_order=settings.date_order,
            expected_session=expected_session,
            on_progress=on_progress,
        ) as rows:
            report = find_upload(settings, rows.sha256)
            if report is None:
                require_unchanged(source, identity)
                with explain_disk("the lake", str(settings.lake)):
                    report = _commit(settings, rows, rules, task)
            elif task.origin.kind == "repair" and report.kind != "repair":
                rule = "a repair must bring a corrected file, and these bytes are an upload already"
                raise InputError(rule, value=report.sha256[:12], place=source.name)
        _keep(settings, source, report, identity, held)
    return report


def _keep(settings: Settings, source: Source, report: IngestReport, identity: str, held: Source | None) -> None:
    """Keep the file of what is committed; say so where another has taken its place meanwhile."""
    try:
        keep_upload(settings, source, report.sha256, move=is_in_inbox(settings, source), identity=identity)
    except InputError as error:
        if not _is_replaced(source, identity):
            raise
        kept = _keep_held(settings, held, report)
        rule = (
            f"the bars of upload {report.sha256[:12]} are committed and its file is {kept}, but that was replaced or"
            " taken away meanwhile: what is there now was not read, and the next ingest reads it"
        )
        raise UnavailableError(rule, value=error.value, place=error.place) from error


def _keep_held(settings: Settings, held: Source | None, report: IngestReport) -> str:
    """Keep a file that has lost its name, and say in a word what became of it."""
    try:
        return "kept" if held and keep_upload(settings, held, report.sha256, move=False) else "lost"
    except InputError:  # its bytes were written over
        return "lost"


def _is_replaced(source: Source, identity: str) -> bool:
    try:
        return source.identity() != identity
    except InputError as error:
        return isinstance(error.__cause__, FileNotFoundError | NotFoundError)


def find_upload(settings: Settings, sha256: str) -> IngestReport | None:
    """Return the report of an upload with these bytes, or None where there is none yet."""
    row = find_operation(settings.lake, sha256)
    return report_from_row(row, already_ingested=True) if row else None


def _load_rules(settings: Settings, task: _Task) -> RowRules:
    suite = [entry for entry in load_suites(settings).rows if entry.name not in task.overridden]
    newest = newest_ingestible_session(settings.calendar, task.started_at)
    return RowRules(settings.calendar, suite, newest_session=newest, overridden=frozenset(task.overridden))


def _commit(settings: Settings, upload: Upload, rules: RowRules, task: _Task) -> IngestReport:
    """Judge the rows against what is there and write the tables, the row of `uploads` last, under the lake's lock."""
    with lock_lake(settings.lake):
        # Another process may have ingested the same bytes while this one read them.
        if (known := find_upload(settings, upload.sha256)) is not None:
            return known
        state = recover_lake(settings.lake)
        stamp, repairs = Stamp(upload.sha256, datetime.now(UTC)), _find_repaired(settings, upload, task.origin)
        with LakeChanges(settings.lake, state, stamp, settings.scratch, repairs=repairs) as changes:
            with closing(_judge_ahead(upload.bars.groups(_GROUP_ROWS), rules)) as verdicts:
                for verdict in verdicts:
                    changes.add(verdict, judge_levels=rules.has_levels)
            report = _commit_tables(upload, state, changes, task)
        append_operation(settings.lake, report.row())
        if report.sequence % _COMPACT_EVERY == 0:
            for table in (UPLOADS, RESTATEMENTS):
                compact_small(settings.lake, table)
    return report


def _judge_ahead(groups: Iterator[pa.Table], rules: RowRules) -> Generator[Verdict]:
    """Judge each group while the one before it is taken over; a very large one is alone in memory."""

    def judge_next() -> Verdict | None:
        group = next(groups, None)
        return None if group is None else judge_rows(group, rules)

    with ThreadPoolExecutor(1, thread_name_prefix="judge-rows") as pool:
        verdict = judge_next()
        while verdict is not None:
            is_small = verdict.accepted.num_rows <= _GROUP_ROWS
            ahead = pool.submit(judge_next) if is_small else None
            yield verdict
            verdict = ahead.result() if ahead else judge_next()


def _find_repaired(settings: Settings, upload: Upload, origin: Origin) -> str | None:
    """Return the upload that a repair brings again as a whole: with at least as many rows."""
    if origin.kind != "repair" or origin.of_sha256 is None:
        return None
    repaired = find_operation(settings.lake, origin.of_sha256)
    return origin.of_sha256 if repaired and upload.rows >= repaired["rows"] else None


def _commit_tables(upload: Upload, state: LakeState, changes: LakeChanges, task: _Task) -> IngestReport:
    """Commit every table but `uploads`, and report."""
    versions = changes.commit(upload.refused)
    counts, sessions, origin = changes.counts, changes.sessions, task.origin
    return IngestReport(
        sequence=state.sequence + 1,
        sha256=upload.sha256,
        kind=origin.kind,
        name=upload.name,
        size_bytes=upload.size_bytes,
        status=name_status(counts["accepted"], counts["quarantined"]),
        rows=upload.rows,
        accepted=counts["accepted"],
        quarantined=counts["quarantined"],
        duplicates=counts["duplicates"],
        added=counts["added"],
        restated=counts["restated"],
        unchanged=counts["unchanged"],
        released=counts["released"],
        first_session=sessions[0] if sessions else None,
        last_session=sessions[-1] if sessions else None,
        sessions=len(sessions),
        bars_version=versions["bars_version"],
        quarantine_version=versions["quarantine_version"],
        restatements_version=versions["restatements_version"],
        of_sha256=origin.of_sha256,
        who=origin.who,
        why=origin.why,
        started_at=task.started_at,
        # A clock that was set back must not make this known before what it stands on.
        finished_at=max(datetime.now(UTC), state.finished_at + timedelta(microseconds=1)),
    )


def ingest_session(
    settings: Settings, session: date, *, origin: Origin | None = None, on_progress: Progress | None = None
) -> list[IngestReport]:
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
    reports = [
        ingest_upload(settings, source, origin=origin, expected_session=session, on_progress=on_progress)
        for source in list_arrived(settings, session)
    ]
    bars = None if reports else find_committed(settings.lake, BARS)
    if not reports and (bars is None or session not in list_sessions(bars)):
        raise InputError(f"an upload for session {session} must be in the inbox", place=settings.inbox_url)
    return reports
