"""`closecast lake`: who was listed when, and the lake's upkeep."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain

if TYPE_CHECKING:
    from include.lake.maintain import MaintenanceReport
    from include.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The lake: symbols, maintain.")

_SHOWN_FILES = 40


@app.command("symbols")
def list_listed(
    session: Annotated[str | None, typer.Option(help="YYYY-MM-DD; the newest by default.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Which symbols; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell when each symbol was first and last seen, as it was known at a session."""
    from include.home import current_settings
    from include.lake.identity_file import load_symbol_changes
    from include.lake.listings import list_symbols
    from include.tasks import choose_session

    settings = current_settings()
    day = choose_session(settings, session)
    rows = list_symbols(settings.lake, day, changes=load_symbol_changes(settings)).to_pylist()
    rows = [row for row in rows if not symbol or row["symbol"] in symbol]
    emit({"session": day, "symbols": rows}, as_json=as_json, render=lambda: _show_listed(f"Symbols at {day}", rows))


def _show_listed(title: str, rows: list[dict[str, Any]]) -> None:
    cells = [
        [
            plain(row["symbol"]),
            str(row["first_session"]),
            str(row["last_session"]),
            f"{row['sessions']:,}",
            plain(row["successor"] or ""),
        ]
        for row in rows
    ]
    out.print(build_table(title, ["symbol", "first seen", "last seen", "sessions", "became"], cells, right=3))


@app.command("maintain")
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; list what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Merge small files, remove what nothing in the audit window needs."""
    from include.home import current_settings
    from include.lake.maintain import maintain_lake

    settings = current_settings()
    report = maintain_lake(settings, dry_run=dry_run)
    payload = asdict(report) | {"freed_bytes": report.freed_bytes}
    emit(payload, as_json=as_json, render=lambda: _show_report(settings, report))


def _show_report(settings: Settings, report: MaintenanceReport) -> None:
    if report.compactions:
        merged = [
            [each.table, f"{each.partitions:,}", f"{each.files:,}", f"{each.size_bytes / 1e6:,.2f}"]
            for each in report.compactions
        ]
        out.print(build_table("Small files to merge", ["table", "partitions", "files", "MB"], merged))
    if report.removals:
        columns = ["what", "file", "MB", "why"]
        cells = [
            [each.area, _shorten(settings, str(each.path)), f"{each.size_bytes / 1e6:,.2f}", plain(each.why)]
            for each in report.removals[:_SHOWN_FILES]
        ]
        out.print(build_table("Files to remove", columns, cells, right=2))
        left = Counter(each.area for each in report.removals[_SHOWN_FILES:])
        if left:
            out.print("and " + ", ".join(f"{count:,} of {area}" for area, count in left.items()) + " (all with --json)")
    out.print(plain(report.summary()))


def _shorten(settings: Settings, path: str) -> str:
    return plain(path.removeprefix(f"{settings.home}/"))
