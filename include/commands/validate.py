"""`closecast validate`: a session against its expectations, as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain, show_steps
from include.settings import Settings

if TYPE_CHECKING:
    from include.quality.results import ExpectationResult, ValidationReport


def validate(
    session: Annotated[str | None, typer.Argument(help="YYYY-MM-DD; the newest in the lake by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a session against its expectations; exit code 5 where it is blocked."""
    from include.home import current_settings
    from include.quality.docs import link_page
    from include.quality.results import require_valid
    from include.quality.session import validate_session
    from include.tasks import choose_session

    settings = current_settings()
    with show_steps() as step:
        day = choose_session(settings, session)
        line = step(f"Validate {day}")
        report = validate_session(settings, day)
        line.finish("blocked" if report.blocking else f"passed, {len(report.failed)} warning(s)")
    link = link_page(settings, report)
    if not (as_json and report.blocking):  # with --json standard output is one object: the error, where there is one
        emit(_as_payload(report, link), as_json=as_json, render=lambda: show_report(settings, report, link))
    require_valid(report)


def _as_payload(report: ValidationReport, link: str) -> dict[str, object]:
    results = [asdict(result) for result in report.results]
    return {
        "session": report.session,
        "bars_version": report.bars_version,
        "suite_hash": report.suite_hash,
        "blocked": bool(report.blocking),
        "page": link,
        "results": results,
    }


def show_report(settings: Settings, report: ValidationReport, link: str) -> None:
    """Draw every expectation, those that failed first, each of these with its examples and its remedy."""
    from include.quality.suites import load_suites

    remedies = {entry.name: entry.remedy for entry in load_suites(settings).session}
    title = f"Session {report.session}, bars version {report.bars_version}, expectations {report.suite_hash}"
    columns = ["expectation", "severity", "result", "count", "what was found"]
    results = [*report.failed, *(each for each in report.results if each.success)]
    rows = [_draw_row(result, remedies.get(result.expectation, "")) for result in results]
    out.print(build_table(title, columns, rows, right=3, folded=("what was found",)))
    out.print(f"[dim]Data Docs: {plain(link)}[/dim]", soft_wrap=True)


def _draw_row(result: ExpectationResult, remedy: str) -> list[str]:
    from include.quality.results import SHOWN_EXAMPLES

    found = plain(", ".join(result.symbols[:SHOWN_EXAMPLES]) or result.detail)
    if result.success:
        return [result.expectation, result.severity, "[green]passed[/green]", "", f"[dim]{plain(result.detail)}[/dim]"]
    said = "[red]blocked[/red]" if result.severity == "session" else "[yellow]warned[/yellow]"
    count = f"{result.unexpected_count:,}" if result.unexpected_count else ""
    return [result.expectation, result.severity, said, count, f"{found}\n[dim]→ {plain(remedy)}[/dim]"]
