"""`closecast doctor`: what a home needs and does not have."""

from __future__ import annotations

from dataclasses import asdict

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain

FAULTY_EXIT = 1


def doctor(as_json: AsJson = False) -> None:
    """Check system, disk, database of incidents, settings and Slack; exit code 1 where something must be mended."""
    from include.doctor import examine
    from include.home import recall_home
    from include.settings import load_settings

    found = examine(recall_home(load_settings()))

    cells = [[each.name, "fault" if each.fault else "well", plain(each.fault or each.said)] for each in found]
    table = build_table("Doctor", ["check", "state", "what"], cells, right=3, folded=("what",))
    emit({"checks": [asdict(each) for each in found]}, as_json=as_json, render=lambda: out.print(table))
    if any(each.fault for each in found):
        raise typer.Exit(FAULTY_EXIT)
