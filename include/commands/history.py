"""`closecast simulate-history`: past sessions lived again, each knowing only what was known then."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain, show_steps

if TYPE_CHECKING:
    from include.history import History


def simulate_history(
    out_dir: Annotated[Path, typer.Option("--out", help="A new folder: the home that the sessions are lived in.")],
    first: Annotated[str, typer.Option("--from", help="First session, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last session.")],
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Retrain after so many sessions and let the gate decide; as it was by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Live past sessions again in a home of their own: ingest, gate, score, retrain, promote; compare the forecasts."""
    from include.history import simulate_history as simulate
    from include.home import current_settings
    from include.tasks import parse_session

    settings = current_settings()
    with show_steps() as open_step:
        line = open_step("Live again")
        found = simulate(
            settings, out_dir, parse_session(first), parse_session(last), every=every, on_progress=line.update
        )
        line.finish(f"{len(found.sessions)} sessions")
    emit(asdict(found), as_json=as_json, render=lambda: _show(found))


def _show(found: History) -> None:
    rows = [
        [str(each.session), f"{each.published:,}", f"{each.identical:,}", f"{each.largest_difference:.2g}"]
        for each in found.compared
    ]
    columns = ["session", "published", "came out the same", "largest difference"]
    if rows:
        out.print(build_table("Beside what was published", columns, rows, right=3))
    out.print(plain(found.summary()), soft_wrap=True)
