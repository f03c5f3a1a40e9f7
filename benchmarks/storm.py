"""A storm of failures: thousands through the callback code at once, and 200 failed tasks in one real run.

reported, lost         failures handed to the callback by all processes; not counted into their incident in the end
seconds                from the first report to the last
callback_s             the longest that one failed task waited for being told of, Slack taking all
callback_hanging_s     the same while Slack says nothing
messages               that people read of the storm's one incident
waiting                rows left in the outbox at the end
tasks, task_messages   of one run that failed in a running Airflow; messages about it
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.report import Goal, report
from benchmarks.running import copy_dags, run_system
from benchmarks.told import Ears
from include.alerts.deliver import deliver
from include.alerts.episodes import list_open
from include.alerts.outbox import count_waiting
from include.alerts.spool import list_spooled
from include.alerts.store import open_store
from include.console import Step, show_steps
from include.settings import PROJECT_ROOT, Settings
from include.steps import OpenStep
from include.system.environment import settings_variables
from tests.fakes import Answer, FakeSlack

PROCESSES, SILENT_COUNT = 16, 160
KEY = "run_failed/market_close"
MANY = Path(__file__).with_name("dying") / "dags" / "many.py"
DELIVER_S, DRAIN_S, LATE_S = 30.0, 120.0, 75.0

GOALS = {
    "seconds": Goal(at_most=60),
    "lost": Goal(at_most=0),
    "callback_s": Goal(at_most=2),
    "callback_hanging_s": Goal(at_most=2),
    "messages": Goal(at_least=1, at_most=3),
    "waiting": Goal(at_most=0),
    "task_messages": Goal(at_least=1, at_most=3),
}


@dataclass(frozen=True)
class Storm:
    """What one storm was: how long it and its slowest callback took."""

    seconds: float
    callback_s: float


def blow(settings: Settings, count: int) -> Storm:
    """Have all processes fail at once."""
    environment = {**os.environ, **settings_variables(settings)}
    argv = [sys.executable, "-m", "benchmarks.storm_child"]
    processes = [
        subprocess.Popen(
            [*argv, str(first), str(PROCESSES), str(count)],
            env=environment,
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for first in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in processes]
    return Storm(time.perf_counter() - began, max(map(float, said)))


def count_kept(settings: Settings) -> int:
    """Count the reports that incidents hold."""
    with open_store(settings) as connection:
        return sum(episode.count for episode in list_open(connection) if episode.key == KEY)


def drain(settings: Settings) -> int:
    """Tell what waits, as whoever comes next does; return how many rows wait still."""
    ends = time.monotonic() + DRAIN_S
    while time.monotonic() < ends:
        deliver(settings, deadline_s=DELIVER_S)
        with open_store(settings) as connection:
            waiting = count_waiting(connection)
        if not waiting and not list_spooled(settings):  # a process that has ended may hold the lease for a while
            break
        time.sleep(1.0)
    return waiting + len(list_spooled(settings))


def measure_reports(folder: Path, count: int, line: Step) -> dict[str, float]:
    """Blow twice, on a Slack that takes all and on one that says nothing."""
    with FakeSlack() as slack:
        settings = Settings(home=folder / "taking", slack_webhook_url=SecretStr(slack.url), _env_file=None)
        line.say("Slack takes all")
        storm = blow(settings, count)
        waiting, kept = drain(settings), count_kept(settings)
        messages = len(Ears(slack, settings).hear())
    line.say("Slack says nothing")
    with FakeSlack() as slack:
        slack.otherwise = Answer(hang=True)
        settings = Settings(home=folder / "silent", slack_webhook_url=SecretStr(slack.url), _env_file=None)
        silent = blow(settings, SILENT_COUNT)
    line.finish(f"{count:,} in {storm.seconds:.0f} s")
    return {
        "reported": count,
        "lost": max(0, count - kept),
        "seconds": storm.seconds,
        "callback_s": storm.callback_s,
        "callback_hanging_s": silent.callback_s,
        "messages": messages,
        "waiting": waiting,
    }


def measure_tasks(folder: Path, tasks: int, open_step: OpenStep) -> dict[str, float]:
    """Have all mapped tasks of a real run fail; count the messages once the run is over."""
    with FakeSlack() as slack:
        settings = Settings(home=folder / "home", slack_webhook_url=SecretStr(slack.url), _env_file=None)
        line = open_step("Start Airflow and MLflow")
        with run_system(settings, copy_dags(folder / "dags", MANY), line.say) as running:
            line.finish("all healthy")
            line, began = open_step(f"{tasks} tasks fail"), time.perf_counter()
            run_id = running.ask(lambda api: api.trigger("many", {"tasks": tasks}))
            running.await_end("many", run_id, timeout_s=900.0)
            seconds = time.perf_counter() - began
            ears = Ears(slack, settings)
            ears.await_told("run_failed/many", since=0.0)
            time.sleep(LATE_S)
            line.finish(f"{seconds:.0f} s")
            told = [each for each in ears.hear() if each.key == "run_failed/many"]
            failed = sum(each["state"] == "failed" for each in running.ask(lambda api: api.tasks("many", run_id)))
    return {"tasks": failed, "task_seconds": seconds, "task_messages": len(told)}


def main() -> int:
    """Blow, count, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.storm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--incidents", type=int, default=5000)
    parser.add_argument("--tasks", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, show_steps() as open_step:
        measured = measure_reports(Path(name), given.incidents, open_step("Report"))
        measured |= measure_tasks(Path(name), given.tasks, open_step)
    return 0 if report("storm", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
