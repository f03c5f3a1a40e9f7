"""`closecast watch`: the watcher outside Airflow, or one look of it that tells nobody else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands.options import AsJson
from include.console import build_facts, emit, out, plain
from include.errors import UnavailableError

if TYPE_CHECKING:
    from include.settings import Settings

WELL = "well"


def watch(
    once: Annotated[bool, typer.Option("--once", help="Look once, show what is seen, tell nobody.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch a home from outside Airflow until Ctrl-C: tell of what is down, drain the outbox, ping. `up` runs one."""
    from include.home import recall_home
    from include.settings import load_settings

    settings = recall_home(load_settings())
    if once:
        _show_look(settings, as_json=as_json)
    else:
        _become_watcher(settings)


def _become_watcher(settings: Settings) -> None:
    """Go on as the small program: the command line has loaded what a process that stays should not hold."""
    from include.system.environment import program_environment

    argv = [sys.executable, "-m", "include.watchdog.watcher"]
    os.execve(sys.executable, argv, program_environment(settings))


def _show_look(settings: Settings, *, as_json: bool) -> None:
    from include.system.state import prepare_home
    from include.watchdog.findings import run_checks
    from include.watchdog.outlook import Outlook

    prepare_home(settings)
    outlook = Outlook(settings, start_grace_s=0)
    seen = {"system": outlook.describe_stage()}
    for name, check in outlook.list_checks(frozenset()).items():
        findings, unread = run_checks({name: check})
        wrong = [f"{each.incident.summary}: {each.incident.cause}" for each in findings.sightings]
        seen[name] = "; ".join([*wrong, *unread.values()]) or WELL
    emit(
        seen,
        as_json=as_json,
        render=lambda: out.print(build_facts("Seen from outside", {name: plain(said) for name, said in seen.items()})),
    )
    if any(said != WELL for said in seen.values()):
        raise typer.Exit(UnavailableError.exit_code)
