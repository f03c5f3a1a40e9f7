"""`closecast predict --upload`: an upload that the lake need not know, answered by a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from include.console import emit, out, plain, show_steps
from include.home import current_settings


def answer_upload(
    upload: str,
    copy_to: str | None,
    *,
    session: str | None,
    symbols: Sequence[str] | None,
    version: int | None,
    as_json: bool,
) -> None:
    """Answer one upload and say where the answer is."""
    from include.answers.answer import predict_upload
    from include.answers.files import require_whole

    require_whole(session, symbols)
    settings = current_settings()
    with show_steps() as step:
        line = step("Answer the upload")
        report = predict_upload(settings, upload, version=version, out=copy_to, run_id="cli", on_progress=line.update)
        line.finish(f"{report.rows:,} rows")
    files = [report.copy or report.answer, *([report.refused] if report.rows_refused else [])]
    said = "\n".join(plain(str(each)) for each in (report.summary(), *files))
    emit(asdict(report), as_json=as_json, render=lambda: out.print(said, soft_wrap=True))
