"""Deaths of tasks in a running system: what dies where, by whose hand, and how the run is then taken up again.

A task's work dies by an order that it reads as it begins; the processes around it are killed or frozen from outside,
found by the id of the try, which Airflow writes into their titles. Each try of a run dies, so that the run fails.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psutil

from benchmarks.running import Running
from include.errors import UnavailableError

FAILS_IN_S = 400.0
TASK, SUPERVISOR = re.compile(r"airflow worker -- (?P<id>[0-9a-f-]{20,})"), "LocalExecutor"
"""Titles of the processes of a try, cut at the length of the command that Airflow was started by: the id too."""


@dataclass(frozen=True)
class Try:
    """The processes of one try of a task: what Airflow's executor started, and the task below it."""

    supervisor: psutil.Process
    task: psutil.Process


def kill_supervisor(found: Try) -> None:
    """Kill what watches over the task and speaks for it; the task lives on."""
    found.supervisor.kill()


def lose_worker(found: Try) -> None:
    """Kill both at once, as where a machine is gone: no process of it says another word."""
    found.supervisor.kill()
    found.task.kill()


def freeze_supervisor(found: Try) -> None:
    """Stop what sends the heartbeats, and leave it there."""
    found.supervisor.suspend()


Blow = Callable[[Try], None]


@dataclass(frozen=True)
class Trial:
    """A death.

    Attributes
    ----------
    death
        Its name in the table.
    dag_id, conf
        Of the run.
    work
        The function that is ordered to die, and how; None where the run's conf says it.
    way
        How it dies by itself; `hang` where it is to be struck from outside.
    blow
        Strikes each try from outside.
    silenced
        The house's callback that is ordered to raise, too.
    """

    death: str
    dag_id: str
    way: str
    work: str | None = None
    conf: dict[str, Any] = field(default_factory=dict)
    blow: Blow | None = None
    silenced: str | None = None

    @property
    def place(self) -> str:
        """Where it dies."""
        return f"{self.dag_id}.{self.work}" if self.work else self.dag_id


@dataclass(frozen=True)
class Died:
    """A run that was made to fail.

    Attributes
    ----------
    trial
        What was done.
    run_id
        Of the run.
    began_at, died_at
        When the run was asked for, and when its last try died; seconds since 1970.
    state
        How the run ended; None where it had not ended in time.
    """

    trial: Trial
    run_id: str
    began_at: float
    died_at: float
    state: str | None


def let_die(running: Running, trial: Trial, *, fails_in_s: float = FAILS_IN_S) -> Died:
    """Have a run die; take the orders back, so that the next try is a good one."""
    began_at = time.time()
    ordered = {trial.work: trial.way, trial.silenced: "exception"}
    for name, way in ordered.items():
        if name:
            running.orders.give(name, way)
    try:
        run_id: str = running.ask(lambda api: api.trigger(trial.dag_id, trial.conf))
        with _Striker(running, trial, run_id) as striker:
            state = await_end_or_none(running, trial.dag_id, run_id, fails_in_s)
        if trial.blow and striker.struck_at is None:
            raise UnavailableError("the processes of a try must be found to be struck", place=f"{trial.place} {run_id}")
    finally:
        for name in filter(None, ordered):
            running.orders.take_back(name)
    if state is None:  # what hangs in native code would go on for ever
        end_tries(find_tries(running, trial.dag_id, run_id).values())
    died_at = striker.struck_at or find_last_start(running, trial.dag_id, run_id)
    return Died(trial, run_id, began_at, died_at, state)


def await_end_or_none(running: Running, dag_id: str, run_id: str, timeout_s: float) -> str | None:
    """Wait for a run's end; None where it does not end in time, as a task that hangs in native code."""
    try:
        return running.await_end(dag_id, run_id, timeout_s=timeout_s)
    except UnavailableError:
        return None


def find_last_start(running: Running, dag_id: str, run_id: str) -> float:
    """Return when the newest try of a run's tasks began, which for work that dies at once is when it died."""
    tasks = running.ask(lambda api: api.tasks(dag_id, run_id))
    starts = [datetime.fromisoformat(task["start_date"]).timestamp() for task in tasks if task["start_date"]]
    return max(starts, default=time.time())


def find_tries(running: Running, dag_id: str, run_id: str) -> dict[str, Try]:
    """Find the processes of the tries of a run that are at work, by the id of the try."""
    at_work = [task["id"] for task in running.ask(lambda api: api.tasks(dag_id, run_id)) if task["state"] == "running"]
    found = {}
    for process in running.processes("scheduler") if at_work else []:
        with suppress(psutil.Error, IndexError):  # one that has ended has no title
            titled, supervisor = TASK.fullmatch(process.cmdline()[0]), process.parent()
            if titled and supervisor and SUPERVISOR in supervisor.cmdline()[0]:
                found |= {each: Try(supervisor, process) for each in at_work if each.startswith(titled["id"])}
    return found


def end_tries(tries: Iterable[Try]) -> None:
    """Kill what is left of tries."""
    for found in tries:
        for process in (found.supervisor, found.task):
            with suppress(psutil.NoSuchProcess):
                process.kill()


class _Striker:
    """Strikes each try of a run once, in a thread, until the block ends; then ends what it left frozen or alone."""

    def __init__(self, running: Running, trial: Trial, run_id: str) -> None:
        self._running, self._trial, self._run_id = running, trial, run_id
        self._struck: dict[str, Try] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._strike, daemon=True)
        self.struck_at: float | None = None

    def __enter__(self) -> _Striker:
        if self._trial.blow:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._trial.blow:
            self._thread.join()
        end_tries(self._struck.values())

    def _strike(self) -> None:
        assert self._trial.blow
        while not self._done.wait(0.5):
            for key, found in find_tries(self._running, self._trial.dag_id, self._run_id).items():
                if key not in self._struck:
                    self._struck[key] = found
                    with suppress(psutil.NoSuchProcess):
                        self._trial.blow(found)
                        self.struck_at = time.time()
