"""Every way to die, in a running Airflow: how often Slack is told, after how long, and whether recovery is told.

deaths          of tasks' work, of the processes around it, and of what tasks stand on
missed          of these, nobody was told of
doubled         told more than once
unrecovered     whose end was told not once
strays          messages that belong to no death
slowest_s       from a death to its message, at most
stock_deaths, stock_missed, stock_doubled
                the same deaths as stock Airflow tells them in the same run: plain tasks, its SlackWebhookNotifier
Slack is a server on loopback. Tries are two, a second apart, in place of three and ten seconds; watch_system looks
every 30 s in place of 180.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from benchmarks.death_lanes import CLOSE_PLACES, run_lanes
from benchmarks.death_scenes import SCENES, Played, Scene, mount_small, play
from benchmarks.death_table import (
    HEADER,
    Row,
    build_lane_rows,
    build_scene_rows,
    build_stock_rows,
    count_strays,
    draw_scene_lines,
    draw_task_lines,
    write_document,
)
from benchmarks.prepare import prepare_home
from benchmarks.report import Goal, report
from benchmarks.running import Running, copy_dags, run_system
from benchmarks.stock_slack import DAGS, describe_connection, prepare_provider
from benchmarks.told import Ears
from include.console import build_table, out, show_steps
from include.steps import OpenStep
from tests.fakes import FakeSlack

GOALS = {name: Goal(at_most=0) for name in ("missed", "doubled", "unrecovered", "strays")}
DISK_BYTES = 3 << 30
WATCH_EVERY_S = 30
FIRST_RUN_S = 240.0
LATE_S = 90.0
"""What is told so long after the last death is told of none."""


@dataclass(frozen=True)
class Outcome:
    """What came of it all: deaths of tasks, of what they stand on, of stock Airflow's tasks; what was told besides."""

    tasks: Sequence[Row]
    scenes: Sequence[Row]
    stock: Sequence[Row]
    strays: int

    @property
    def ours(self) -> list[Row]:
        """All deaths of the house's."""
        return [*self.tasks, *self.scenes]


@dataclass(frozen=True)
class Heard:
    """Both Slacks: the house's, read, and the one that stock Airflow writes to."""

    ears: Ears
    stock: FakeSlack


def measure(
    running: Running, heard: Heard, places: Sequence[str], scenes: Sequence[Scene], open_step: OpenStep
) -> Outcome:
    """Let everything die, tasks first; then count."""
    session = newest_close().isoformat()
    line = open_step("Tasks die")
    lanes, stock = run_lanes(running, heard.ears, session, places, line)
    line.finish(f"{sum(map(len, lanes))}, and {len(stock)} of stock Airflow's")
    until, line = time.time(), open_step("What they stand on dies")
    played: list[Played] = []
    for number, scene in enumerate(scenes):
        line.update(number, len(scenes), f"{scene.place}: {scene.death}")
        played.append(play(running, heard.ears, scene, session))
    time.sleep(LATE_S)
    line.finish(f"{len(played)}")
    told = heard.ears.hear()
    tasks = [row for lane in lanes for row in build_lane_rows(lane, told)]
    strays = count_strays(lanes, told, until=until)
    return Outcome(tasks, build_scene_rows(played, told), build_stock_rows(stock, heard.stock.calls), strays)


def newest_close() -> date:
    """Return the newest session of the calendar that never rests: the watchdogs know what day it is."""
    return datetime.now(UTC).date() - timedelta(days=1)


@contextmanager
def start_all(
    folder: Path, home: Path, slack: FakeSlack, stock_slack: FakeSlack, open_step: OpenStep
) -> Iterator[Running]:
    """Prepare a home, and start a system on it that has stock Airflow's DAGs too."""
    size = {"symbols": 60, "sessions": 90, "live": 0}
    prepared = prepare_home(home, open_step, model="ridge", last_session=newest_close(), **size)
    shorter = {"watch_every_s": WATCH_EVERY_S, "models": "drift_naive", "backtest_origins": 1}
    settings = prepared.settings.model_copy(update={"slack_webhook_url": SecretStr(slack.url), **shorter})
    line = open_step("Start Airflow and MLflow")
    environment = {"PYTHONPATH": str(prepare_provider()), **describe_connection(stock_slack.url)}
    with run_system(settings, copy_dags(folder / "dags", DAGS), line.say, **environment) as running:
        line.say("the newest session's own run")  # orders to die are for the runs that this asks for
        running.await_session(newest_close().isoformat(), timeout_s=FIRST_RUN_S)
        line.finish("all healthy")
        yield running


def main() -> int:
    """Start, kill, listen, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deaths", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", default=",".join(CLOSE_PLACES), help="Tasks of market_close that die in every way.")
    parser.add_argument("--scenes", default="", help="Only those of what tasks stand on whose name holds this.")
    parser.add_argument("--document", type=Path, help="The document whose table is written anew: docs/deaths.md.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, show_steps() as open_step, FakeSlack() as ours, FakeSlack() as theirs:
        folder = Path(name)
        with mount_small(folder / "disk", DISK_BYTES) as is_small:
            scenes = [scene for scene in SCENES if is_small or scene.place != "disk"]
            scenes = [scene for scene in scenes if given.scenes in f"{scene.place} {scene.death}"]
            with start_all(folder, folder / "disk" / "home", ours, theirs, open_step) as running:
                heard = Heard(Ears(ours, running.settings), theirs)
                outcome = measure(running, heard, [each for each in given.places.split(",") if each], scenes, open_step)
    lines = [*draw_task_lines(outcome.tasks, outcome.stock), *draw_scene_lines(outcome.scenes)]
    out.print(build_table("deaths", HEADER, lines, right=3))
    if given.document:
        write_document(given.document, lines)
    note = "" if is_small else "The full disk is left out: this user may not mount a small one."
    return 0 if report("deaths", count(outcome), GOALS, note=note) else 1


def count(outcome: Outcome) -> dict[str, float]:
    """Count the figures. Stock Airflow tells nobody of what tasks stand on: there each is a death it misses."""
    ours, stock, below = outcome.ours, outcome.stock, len(outcome.scenes)
    seconds = [row.seconds for row in ours if row.seconds is not None]
    return {
        "deaths": len(ours),
        "missed": sum(row.told == 0 for row in ours),
        "doubled": sum(row.told > 1 for row in ours),
        "unrecovered": sum(row.ended != 1 for row in ours),
        "strays": outcome.strays,
        "slowest_s": max(seconds, default=0.0),
        "stock_deaths": len(stock) + below,
        "stock_missed": sum(row.told == 0 for row in stock) + below,
        "stock_doubled": sum(row.told > 1 for row in stock),
    }


if __name__ == "__main__":
    sys.exit(main())
