"""`closecast skill`, `watch-forecasts` and `report`: what forecasts were worth, whether they go wrong, a page."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain

if TYPE_CHECKING:
    from include.monitoring.skill import SkillReport
    from include.monitoring.watch import WatchReport

_MOST_ROWS = 40


def skill(
    by: Annotated[
        str | None, typer.Option(help="symbol, cohort (decile of volatility), version, horizon or session.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="Newest settled sessions.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Tell what forecasts were worth once their sessions came, beside the last close."""
    from include.home import current_settings
    from include.monitoring.skill import read_skill

    found = read_skill(current_settings(), by=by, sessions=sessions)
    emit(asdict(found), as_json=as_json, render=lambda: _show_skill(found, by))


def _show_skill(found: SkillReport, by: str | None) -> None:
    from include.show import build_skill_table

    if not found.rows:
        out.print("No forecast that counts has come true yet.")
    else:
        title = f"Skill, sessions {found.sessions[0]} to {found.sessions[-1]}"
        out.print(build_skill_table(title, by or "sessions", found.rows[:_MOST_ROWS]))
    if len(found.rows) > _MOST_ROWS:
        out.print(f"[dim]… and {len(found.rows) - _MOST_ROWS:,} more (all with --json)[/dim]")
    if found.in_sample or found.fallback:
        out.print(
            f"[dim]left out: {found.in_sample:,} of sessions that a version was fitted or chosen on,"
            f" {found.fallback:,} that fell back to the last close[/dim]"
        )


def watch_forecasts(as_json: AsJson = False) -> None:
    """Judge skill, coverage and drift of the newest settled session; tell of breaches as the DAG does."""
    from include.home import current_settings
    from include.monitoring.watch import watch_forecasts as judge

    found = judge(current_settings())
    emit(asdict(found), as_json=as_json, render=lambda: _show_watch(found))


def _show_watch(found: WatchReport) -> None:
    from include.monitoring.messages import describe_began, describe_ended

    cells = [
        [
            each.signal,
            "in breach" if each.in_breach else "not judged" if each.limit is None else "as usual",
            *("–" if value is None else f"{value:.3f}" for value in (each.value, each.limit)),
            str(each.beyond),
        ]
        for each in found.verdicts
    ]
    if cells:
        columns = ["signal", "state", "newest", "limit", "sessions beyond"]
        out.print(build_table(f"Watched signals, session {found.session}", columns, cells, right=2))
    for breach in found.open:
        out.print(plain(describe_began(breach)), soft_wrap=True)
    for breach in found.ended:
        out.print(plain(describe_ended(breach)), soft_wrap=True)
    if found.inputs:
        out.print(plain(f"inputs are not judged: {found.inputs}"), soft_wrap=True)
    out.print(plain(found.summary()), soft_wrap=True)


def report(
    session: Annotated[str | None, typer.Argument(help="YYYY-MM-DD; the newest in the lake by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a session's page: skill, coverage, drift, worst symbols, data quality."""
    from include.home import current_settings
    from include.monitoring.session_report import write_report
    from include.tasks import choose_held_session

    settings = current_settings()
    day = choose_held_session(settings, session)
    path = write_report(settings, day)
    emit({"session": day, "page": path}, as_json=as_json, render=lambda: out.print(plain(str(path)), soft_wrap=True))
