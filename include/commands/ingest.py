"""`closecast ingest`: a file, a folder or an object becomes bars."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import emit, err, out, plain, show_steps
from include.errors import ClosecastError

if TYPE_CHECKING:
    from include.ingest.report import IngestReport


def ingest(
    path: Annotated[
        str,
        typer.Argument(
            help="A file, a folder of parts closed by _SUCCESS, a folder of such uploads, or an s3:// address."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Turn uploads into bars; refused rows go to quarantine."""
    from include.home import current_settings, remember_calendar
    from include.ingest.ingest import ingest_upload
    from include.ingest.report import Origin
    from include.object_store import is_object_url
    from include.uploads.read import list_uploads

    settings = current_settings()
    uploads: list[Path | str] = [path] if is_object_url(path) else [*list_uploads(Path(path))]
    reports: list[IngestReport] = []
    errors: list[ClosecastError] = []
    with show_steps() as step:
        for upload in uploads:
            line = step(f"Ingest {Path(upload).name}"[:34])
            try:
                reports.append(
                    ingest_upload(settings, upload, origin=Origin(who=getpass.getuser()), on_progress=line.update)
                )
            except ClosecastError as error:
                if len(uploads) == 1:
                    raise
                errors.append(error)
                line.finish("refused")
            else:
                line.finish(f"{reports[-1].rows:,} rows")
                remember_calendar(settings)
    _emit(reports, errors, as_json=as_json)


def _emit(reports: list[IngestReport], errors: list[ClosecastError], *, as_json: bool) -> None:
    """Answer with what was ingested and what was not; one bad file of a folder holds up no other."""
    said = [{"type": type(error).__name__, "message": str(error)} for error in errors]
    payload = {"uploads": [asdict(report) for report in reports], "errors": said}
    emit(
        payload,
        as_json=as_json,
        render=lambda: out.print("\n".join(plain(report.summary()) for report in reports), soft_wrap=True),
    )
    for error in errors:
        err.print(f"[red]error:[/red] {plain(str(error))}", soft_wrap=True)
    if errors:
        raise typer.Exit(errors[0].exit_code)
