"""`closecast quarantine`: refused rows, and the two ways by which a person brings them back."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands.options import AsJson, Why
from include.commands.uploads import show_quarantine_counts
from include.console import build_table, emit, out, plain, show_steps

if TYPE_CHECKING:
    from include.ingest.report import IngestReport
    from include.lake.quarantine import QuarantineFilter

app = typer.Typer(no_args_is_help=True, help="Refused rows: list, show, release, repair.")

Upload = Annotated[str | None, typer.Option(help="Its SHA-256, or at least six digits of it; all by default.")]
Expectation = Annotated[str | None, typer.Option(help="The rule that refused them; all by default.")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", help="Which symbols; all by default.")]
Rows = Annotated[
    list[int] | None, typer.Option("--row", min=1, max=2**63 - 1, help="Row numbers in the upload; all by default.")
]
Session = Annotated[str | None, typer.Option(help="YYYY-MM-DD; all by default.")]
Resolved = Annotated[bool, typer.Option("--resolved", help="Also rows that have left quarantine.")]

_SHOWN_ROWS = 50


def _build_filter(
    upload: str | None,
    expectation: str | None,
    symbols: list[str] | None,
    rows: list[int] | None,
    session: str | None,
    *,
    resolved: bool = False,
) -> QuarantineFilter:
    from include.lake.quarantine import QuarantineFilter
    from include.tasks import parse_session

    day: date | None = parse_session(session) if session else None
    return QuarantineFilter(upload, expectation, symbols, rows, day, day, with_resolved=resolved)


@app.command("list")
def list_quarantine(
    upload: Upload = None,
    expectation: Expectation = None,
    session: Session = None,
    resolved: Resolved = False,
    as_json: AsJson = False,
) -> None:
    """Count refused rows by upload and rule."""
    from include.home import current_settings
    from include.lake.quarantine import count_quarantine, read_quarantine

    wanted = _build_filter(upload, expectation, None, None, session, resolved=resolved)
    counts = count_quarantine(read_quarantine(current_settings().lake, wanted))
    title = f"Quarantine: {sum(count['rows'] for count in counts):,} row(s)"
    emit({"quarantine": counts}, as_json=as_json, render=lambda: show_quarantine_counts(title, counts))


@app.command("show")
def show_quarantine(
    upload: Upload = None,
    expectation: Expectation = None,
    symbol: Symbols = None,
    row: Rows = None,
    session: Session = None,
    resolved: Resolved = False,
    as_json: AsJson = False,
) -> None:
    """Show refused rows as they came, with the reason."""
    from include.home import current_settings
    from include.lake.quarantine import read_quarantine

    wanted = _build_filter(upload, expectation, symbol, row, session, resolved=resolved)
    rows = read_quarantine(current_settings().lake, wanted).to_pylist()
    emit({"rows": rows}, as_json=as_json, render=lambda: _show_rows(rows))


def _show_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows[:_SHOWN_ROWS]:
        place = f"{row['upload_sha256'][:12]} row {row['row_number']}"
        state = f" [dim]resolved by {row['resolved_by'][:12]}[/dim]" if row["resolved_by"] else ""
        out.print(f"[bold]{place}[/bold]  {plain(row['expectation'])}{state}", soft_wrap=True)
        out.print(f"  {plain(row['reason'])}", soft_wrap=True)
        out.print(f"  [dim]{plain(row['raw'])}[/dim]", soft_wrap=True)
    if len(rows) > _SHOWN_ROWS:
        out.print(f"[dim]… and {len(rows) - _SHOWN_ROWS:,} more (--json has all)[/dim]")
    if not rows:
        out.print("no such row is in quarantine")


@app.command()
def release(
    why: Why,
    upload: Upload = None,
    expectation: Expectation = None,
    symbol: Symbols = None,
    row: Rows = None,
    session: Session = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Release nothing; count what would be.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let refused rows pass against the rule that refused them; recorded with who, when and why."""
    from include.errors import InputError
    from include.home import current_settings
    from include.ingest.release import release_rows
    from include.ingest.report import require_text
    from include.lake.quarantine import count_quarantine, read_quarantine

    require_text("why", why)
    if not any((upload, expectation, symbol, row, session)):
        raise InputError("a release must say which rows", value="all of quarantine", place="the command line")
    wanted = _build_filter(upload, expectation, symbol, row, session)
    if dry_run:
        counts = count_quarantine(read_quarantine(current_settings().lake, wanted))
        emit({"would_release": counts}, as_json=as_json, render=lambda: show_quarantine_counts("Would leave", counts))
        return
    _emit_reports(release_rows(current_settings(), wanted, who=getpass.getuser(), why=why), as_json)


@app.command()
def repair(
    corrected: Annotated[Path, typer.Argument(help="The corrected file: the whole upload, or its refused rows alone.")],
    upload: Annotated[str, typer.Option(help="The upload it repairs: its SHA-256, or at least six digits of it.")],
    why: Why,
    as_json: AsJson = False,
) -> None:
    """Ingest a corrected file; the refused rows that it brings leave quarantine."""
    from include.home import current_settings
    from include.ingest.release import repair_upload
    from include.ingest.report import require_text

    require_text("why", why)
    with show_steps() as step:
        line = step(f"Repair {upload[:12]}")
        found = repair_upload(
            current_settings(), upload, corrected, who=getpass.getuser(), why=why, on_progress=line.update
        )
        line.finish(f"{found.released:,} rows left quarantine")
    _emit_reports([found], as_json)


def _emit_reports(reports: list[IngestReport], as_json: bool) -> None:
    def render() -> None:
        rows = [
            [
                "nothing: done before" if each.already_ingested else each.kind,
                plain(each.name),
                f"{each.released:,}",
                f"{each.added:,}",
                f"{each.restated:,}",
                str(each.first_session or "–"),
                str(each.last_session or "–"),
            ]
            for each in reports
        ]
        columns = ["kind", "upload", "left quarantine", "added", "corrected", "first session", "last session"]
        out.print(build_table("Brought back", columns, rows, right=2))
        out.print("[dim]closecast score --session … forecasts a session again[/dim]")

    emit({"uploads": [asdict(each) for each in reports]}, as_json=as_json, render=render)
