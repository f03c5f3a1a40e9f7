"""An upload becomes an answer: read by the readers of uploads, judged by the same rules, scored by the same graph.

What is in the lake is neither read nor changed. The bytes are kept by their SHA-256, every forecast goes to
`adhoc_predictions`, and the answer gets its name last. Nothing is answered by half: an upload that breaks a rule as a
whole is refused with rule, value and place.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from include.answers.blocks import Sinks, forecast_upload
from include.answers.files import require_placeable
from include.answers.record import AnswerReport, ask, find_answer, keep_record, place_of, refusals_of
from include.answers.refusals import RefusalList
from include.answers.sheet import Sheet
from include.answers.trail import Trail
from include.disk import explain_disk
from include.files import open_placed
from include.ingest.inbox import open_source, require_finished, require_unchanged
from include.ingest.store import keep_upload
from include.object_store import copy_file
from include.registry.artifact import ModelVersion
from include.registry.resolve import resolve_version
from include.settings import Settings
from include.uploads.read import Upload, read_upload
from include.uploads.stream import Progress


def predict_upload(
    settings: Settings,
    upload: Path | str,
    *,
    version: int | None = None,
    out: Path | str | None = None,
    run_id: str | None = None,
    on_progress: Progress | None = None,
) -> AnswerReport:
    """Answer an upload: the one-step-ahead forecast of every row, and of the session after each symbol's last row.

    Parameters
    ----------
    settings
        Calendar, expectations and order of dates that the rows are held against; where the registry is.
    upload
        Path or s3:// address of a CSV (plain, .gz, .zst), a Parquet file, or a closed folder of such parts.
    version
        A registered version; the one that serves by default.
    out
        Path or s3:// address for a copy of the answer.
    run_id
        Who asked: a DAG run's id.
    on_progress
        Called with bytes done, bytes in all, and words for people.

    Returns
    -------
    AnswerReport
        The same bytes, version, settings and code get the answer that is there.

    Raises
    ------
    InputError
        The upload as a whole breaks a rule of its form (docs/uploads.md); nothing was written.
    """
    clock = time.perf_counter()
    source = open_source(upload, retry_s=settings.store_retry_s)
    require_finished(settings, source)
    require_placeable(out, source)
    identity, model = source.identity(), resolve_version(settings, version)
    resolve_s = time.perf_counter() - clock
    scratch, date_order = settings.scratch, settings.date_order
    with read_upload(source, scratch=scratch, date_order=date_order, on_progress=on_progress) as rows:
        read_s = time.perf_counter() - clock - resolve_s
        question, answer = ask(settings, model, rows.sha256), place_of(settings, rows.sha256, model.version)
        report = find_answer(answer, question)
        if report is None:
            require_unchanged(source, identity)
            run = f"{run_id or 'manual'}/{uuid.uuid4().hex[:12]}"
            with explain_disk("the answer and its trail", str(settings.home)):
                kept = keep_upload(settings, source, rows.sha256, move=False, identity=identity)
                report = _answer(settings, rows, model, answer, run_id=run, kept=kept, question=question)
                parts = {"resolve": resolve_s, "read": read_s, **report.seconds}
                report = replace(report, seconds={name: round(value, 4) for name, value in parts.items()})
                keep_record(report)
    copy = None if out is None else copy_file(answer, out, retry_s=settings.store_retry_s)
    return replace(report, copy=copy, model_note=model.note)


def _answer(
    settings: Settings, upload: Upload, model: ModelVersion, answer: Path, *, run_id: str, kept: str, question: str
) -> AnswerReport:
    """Forecast; write both files and the trail; the answer has its name only when the trail is committed."""
    clock = time.perf_counter()
    symbols, refused = upload.bars.symbols, refusals_of(answer)
    stamp = {"run_id": run_id, "upload_sha256": upload.sha256}
    with (
        Sheet(symbols, upload.name, settings.scratch) as sheet,
        Trail(settings, model, symbols=symbols, **stamp) as trail,
    ):
        with open_placed(refused) as out, RefusalList(out) as refusals:
            tally = forecast_upload(settings, upload, model, Sinks(sheet, trail, refusals))
        forecast_s = time.perf_counter() - clock
        with open_placed(answer) as out, ThreadPoolExecutor(1, thread_name_prefix="trail-commit") as pool:
            committed = pool.submit(trail.commit)
            written = sheet.write(out, lookback=model.lookback, model_version=model.version)
            committed.result()
    return AnswerReport(
        answer=answer,
        refused=refused,
        name=upload.name,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        kept=kept,
        model_version=model.version,
        model_kind=model.kind,
        rows=written.rows,
        statuses=written.statuses,
        rows_read=upload.rows,
        rows_refused=refusals.rows,
        duplicates=tally.duplicates,
        predictions=trail.rows,
        run_id=run_id,
        seconds={"forecast": forecast_s, "write": time.perf_counter() - clock - forecast_s},
        question=question,
        is_final=tally.is_final,
    )
