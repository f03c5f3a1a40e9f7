"""Many sessions through the real scheduler, the calendar compressed, a fault in every third.

sessions, forecast    that arrived, and that have forecasts in the end
faults                injected, each at a place and in a way drawn by the seed
incidents, recoveries told on Slack
growth                resident memory of the component that grew most: at the end over that after the tenth session
A session's upload arrives as soon as the last session's forecasts are out. A run that failed is taken up again once
people know. Compressed, every session is late, so word of late uploads and forecasts is switched off.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
from pydantic import SecretStr

from benchmarks.death_lanes import CHEAP, CLOSE_PLACES
from benchmarks.prepare import prepare_home
from benchmarks.report import Goal, report
from benchmarks.running import Running, await_value, copy_dags, run_system
from benchmarks.told import Ears
from include.console import Step, build_table, out, show_steps
from include.lake.runs import scored_sessions
from include.system.state import read_state
from tests.fakes import FakeSlack

EVERY = 3
MEASURED_AFTER = 10
HISTORY = 90
KEY = "run_failed/market_close"
SESSION_S = 240.0
SETTLED_S = 90.0
LATE = "upload_missing, forecasts_missing, forecasts_old"
MIB = 1 << 20


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a session."""

    work: str
    way: str


def draw_faults(sessions: int, seed: int) -> dict[int, Fault]:
    """Draw a fault for every third session, by the session's number from 0."""
    chance = random.Random(seed)
    numbers = range(EVERY - 1, sessions, EVERY)
    return {number: Fault(chance.choice(CLOSE_PLACES), chance.choice(list(CHEAP.values()))) for number in numbers}


def run_session(running: Running, upload: Path) -> None:
    """Let a session's upload arrive, and wait until its forecasts are out."""
    published = running.settings.published / f"{running.land(upload)}.csv"
    await_value(published.exists, SESSION_S, f"the forecasts of {upload.stem}")


def run_faulty_session(running: Running, ears: Ears, upload: Path, fault: Fault) -> None:
    """Let a session's upload arrive and its work die; take the run up again once people know."""
    began_at = time.time()
    running.orders.give(fault.work, fault.way)
    run = running.await_session(running.land(upload), timeout_s=SESSION_S)
    running.orders.take_back(fault.work)
    ears.await_told(KEY, since=began_at)
    if run["state"] == "failed":
        running.run_again("market_close", run["dag_run_id"])
    ears.await_told(KEY, since=began_at, is_over=True)


def measure_memory(running: Running) -> dict[str, float]:
    """Return the resident memory of each component in MiB, what its processes share counted once."""
    state = read_state(running.settings)
    assert state is not None
    return {name: sum(map(_own_share, running.processes(name))) / MIB for name in state.components}


def _own_share(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def soak(
    running: Running, ears: Ears, uploads: Sequence[Path], faults: dict[int, Fault], line: Step
) -> list[dict[str, float]]:
    """Run all sessions; return the memory after the tenth and at the end."""
    measured = []
    for number, upload in enumerate(uploads):
        line.update(number, len(uploads), upload.stem)
        if fault := faults.get(number):
            last = uploads[number - 1].stem
            running.await_session(last, timeout_s=SESSION_S)  # its success would end the incident of the next
            run_faulty_session(running, ears, upload, fault)
        else:
            run_session(running, upload)
        if number + 1 in (MEASURED_AFTER, len(uploads)):
            time.sleep(SETTLED_S)  # what still runs behind the forecasts ends first
            measured.append(measure_memory(running))
    return measured


def count_figures(
    running: Running, ears: Ears, uploads: Sequence[Path], faults: int, memory: Sequence[dict[str, float]]
) -> dict[str, float]:
    """Count what came of it."""
    told = ears.hear()
    mine = Counter(each.is_over for each in told if each.key == KEY)
    forecast = {date.fromisoformat(upload.stem) for upload in uploads} & set(scored_sessions(running.settings.lake))
    return {
        "sessions": len(uploads),
        "forecast": len(forecast),
        "faults": faults,
        "incidents": mine[False],
        "recoveries": mine[True],
        "others_told": len(told) - mine.total(),
        "growth": max(memory[-1][name] / memory[0][name] for name in memory[0]),
    }


def build_goals(sessions: int, faults: int) -> dict[str, Goal]:
    """Every session forecast, every fault and its end told once, nothing grown."""
    exactly = {"forecast": sessions, "incidents": faults, "recoveries": faults}
    return {name: Goal(at_least=value, at_most=value) for name, value in exactly.items()} | {
        "growth": Goal(at_most=1.1)
    }


def main() -> int:
    """Prepare, run all sessions, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=90)
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    faults = draw_faults(given.sessions, given.seed)
    with tempfile.TemporaryDirectory() as name, show_steps() as open_step, FakeSlack() as slack:
        size = {"symbols": given.symbols, "sessions": HISTORY + given.sessions, "live": given.sessions}
        prepared = prepare_home(Path(name) / "home", open_step, model="ridge", **size)
        uploads = prepared.replay.uploads
        days = [date.fromisoformat(uploads[at].stem) for at in (0, -1)]
        schedule = {"first_session": days[0], "last_session": days[1], "close_delay_s": 0, "alerts_off": LATE}
        schedule |= {"open_sessions": given.sessions + 1}  # all are due at once, and a cleared run needs room
        settings = prepared.settings.model_copy(update={"slack_webhook_url": SecretStr(slack.url), **schedule})
        line = open_step("Start Airflow and MLflow")
        with run_system(settings, copy_dags(Path(name) / "dags"), line.say) as running:
            line.finish("all healthy")
            ears, line = Ears(slack, settings), open_step("Sessions arrive")
            memory = soak(running, ears, uploads, faults, line)
            measured = count_figures(running, ears, uploads, len(faults), memory)
            line.finish(f"{len(uploads)} sessions")
    rows = [[each, *(f"{when[each]:,.0f}" for when in memory)] for each in memory[0]]
    out.print(build_table("resident memory, MiB", ["component", f"after {MEASURED_AFTER}", "at the end"], rows))
    return 0 if report("soak", measured, build_goals(given.sessions, len(faults))) else 1


if __name__ == "__main__":
    sys.exit(main())
