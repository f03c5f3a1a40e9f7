"""`closecast uploads`: what came, what became of it, what it corrected."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from include.commands.options import AsJson
from include.console import build_facts, build_table, emit, out, plain

app = typer.Typer(no_args_is_help=True, help="Uploads: list, show.")

_SHOWN_CELLS = 20


@app.command("list")
def list_uploads(
    last: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 20,
    kind: Annotated[str | None, typer.Option(help="upload, release or repair; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the newest uploads, and the files that wait in the inbox."""
    from include.home import current_settings
    from include.ingest.inbox import list_waiting
    from include.lake.catalog import read_operations

    settings = current_settings()
    rows = [row for row in read_operations(settings.lake) if kind in (None, row["kind"])][-last:]
    waiting = [{"name": source.name, "size_bytes": source.size_bytes} for source in list_waiting(settings)]
    emit({"uploads": rows, "waiting": waiting}, as_json=as_json, render=lambda: _show_uploads(rows, waiting))


def _show_uploads(rows: list[dict[str, Any]], waiting: list[dict[str, Any]]) -> None:
    columns = ["#", "upload", "kind", "rows", "accepted", "refused", "session", "name"]
    cells = [
        [
            str(row["sequence"]),
            row["sha256"][:12],
            row["kind"],
            *(f"{row[name]:,}" for name in ("rows", "accepted", "quarantined")),
            str(row["last_session"] or "–") + (f" and {row['sessions'] - 1:,} before" if row["sessions"] > 1 else ""),
            plain(row["name"]),
        ]
        for row in rows
    ]
    out.print(build_table("Uploads", columns, cells, right=3, folded=("session", "name")))
    for each in waiting:
        out.print(f"[dim]waits in the inbox:[/dim] {plain(each['name'])} ({each['size_bytes'] / 1e6:,.1f} MB)")


@app.command("show")
def show_upload(
    upload: Annotated[str, typer.Argument(help="Its SHA-256, or at least six digits of it.")], as_json: AsJson = False
) -> None:
    """Show one upload: its counts explained, what it corrected, which forecasts had read the old numbers."""
    from include.home import current_settings
    from include.lake.catalog import find_operation
    from include.lake.quarantine import QuarantineFilter, count_quarantine, find_upload_hash, read_quarantine
    from include.lake.restatements import find_touched_forecasts, read_restatements

    settings = current_settings()
    sha256 = find_upload_hash(settings.lake, upload)
    payload = {
        "upload": find_operation(settings.lake, sha256),
        "quarantine": count_quarantine(
            read_quarantine(settings.lake, QuarantineFilter(upload=sha256, with_resolved=True))
        ),
        "restatements": read_restatements(settings.lake, sha256).to_pylist(),
        "forecasts_made_before": find_touched_forecasts(settings.lake, sha256).to_pylist(),
    }
    emit(payload, as_json=as_json, render=lambda: _show_upload(payload))


def _show_upload(payload: dict[str, Any]) -> None:
    row = payload["upload"]
    facts = {name.replace("_", " "): "–" if value is None else plain(str(value)) for name, value in row.items()}
    out.print(build_facts(f"Upload {row['sha256'][:12]}", facts))
    if payload["quarantine"]:
        show_quarantine_counts("Refused, by rule", payload["quarantine"])
    if payload["restatements"]:
        _show_restatements(payload["restatements"])
    if payload["forecasts_made_before"]:
        _show_forecasts(payload["forecasts_made_before"])


def show_quarantine_counts(title: str, counts: list[dict[str, Any]]) -> None:
    """Draw rows of quarantine counted by upload and expectation."""
    columns = ["upload", "rule", "rows", "sessions", "symbols"]
    cells = [
        [
            count["upload_sha256"][:12],
            plain(count["expectation"]),
            f"{count['rows']:,}",
            " to ".join(dict.fromkeys(str(count[name]) for name in ("first_session", "last_session") if count[name])),
            plain(", ".join(count["symbols"][:3])),
        ]
        for count in counts
    ]
    out.print(build_table(title, columns, cells, right=2, folded=("rule", "sessions", "symbols")))
    for rule, example in {count["expectation"]: count["example"] for count in counts}.items():
        out.print(f"[dim]{plain(rule)}: for example, {plain(example)}[/dim]", soft_wrap=True)


def _show_restatements(cells: list[dict[str, Any]]) -> None:
    from include.lake.restatements import describe_cell

    out.print(f"[bold]{len(cells):,} cell(s) corrected[/bold]")
    for cell in cells[:_SHOWN_CELLS]:
        out.print(f"  {plain(describe_cell(cell))}", soft_wrap=True)
    if len(cells) > _SHOWN_CELLS:
        out.print(f"[dim]  … and {len(cells) - _SHOWN_CELLS:,} more (--json has all)[/dim]")


def _show_forecasts(forecasts: list[dict[str, Any]]) -> None:
    counts = Counter((str(row["as_of"]), row["run_id"]) for row in forecasts)
    out.print(f"[bold]{len(counts)} run(s) had been made before, without these bars in their windows[/bold]")
    for (as_of, run_id), symbols in sorted(counts.items())[:_SHOWN_CELLS]:
        out.print(f"  {as_of}  {symbols:,} symbol(s)  {plain(run_id)}", soft_wrap=True)
