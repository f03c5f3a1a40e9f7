"""A running system for benchmarks that harm it: where its processes are, how its runs end, what it says on Slack."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.dying.orders import FOLDER, Orders
from include.errors import UnavailableError
from include.files import hold_partial
from include.settings import PROJECT_ROOT, Settings
from include.system.airflow_api import FINISHED, AirflowApi, connect_airflow
from include.system.control import start_detached, stop
from include.system.state import ComponentState, read_state
from include.system.warden import find_marked

SITE = PROJECT_ROOT / "benchmarks" / "dying" / "site"
POLL_S = 1.0
ANSWERS_IN_S = 180.0


@dataclass(frozen=True)
class Running:
    """A running system, whose tasks obey orders to die.

    Attributes
    ----------
    settings
        Of its home.
    api
        Its Airflow.
    orders
        Given to its tasks.
    dags
        The folder of its DAG files, a copy.
    instance
        The mark that all its processes carry.
    """

    settings: Settings
    api: AirflowApi
    orders: Orders
    dags: Path
    instance: str
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def component(self, name: str) -> ComponentState:
        """Return how a component stands."""
        state = read_state(self.settings)
        if state is None:
            raise UnavailableError("the system must run", place=str(self.settings.home))
        return state.components[name]

    def processes(self, component: str) -> list[psutil.Process]:
        """List the processes of a component, its workers and tasks included."""
        return find_marked(self.instance, component)

    def land(self, upload: Path) -> str:
        """Place an upload as a client does, whole at once; return its session."""
        with hold_partial(self.settings.inbox / upload.name) as partial:
            shutil.copyfile(upload, partial)
        return upload.stem

    def ask(self, question: Callable[[AirflowApi], Any]) -> Any:
        """Ask Airflow, again and again while it does not answer: its server may be what was killed.

        One question at a time: several that write at once hold each other up in SQLite until they time out.
        """
        deadline = time.monotonic() + ANSWERS_IN_S
        while True:
            try:
                with self._turn:
                    return question(self.api)
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def await_end(self, dag_id: str, run_id: str, *, timeout_s: float = 300.0) -> str:
        """Wait for a run's end; return its state."""

        def find_end(api: AirflowApi) -> str | None:
            state = str(api.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in FINISHED else None

        found: str = await_value(lambda: self.ask(find_end), timeout_s, f"the end of {dag_id} {run_id}")
        return found

    def await_session(self, session: str, *, timeout_s: float) -> dict[str, Any]:
        """Wait for the end of the scheduler's run of a session; return it."""

        def find_ended(api: AirflowApi) -> dict[str, Any] | None:
            return next((run for run in api.runs_of("market_close", session) if run["state"] in FINISHED), None)

        found: dict[str, Any] = await_value(lambda: self.ask(find_ended), timeout_s, f"the end of {session}'s run")
        return found

    def run_again(self, dag_id: str, run_id: str, *, timeout_s: float = 300.0) -> str:
        """Clear what failed in a run, wait for its end, return its state."""
        cleared_at = time.time()
        self.ask(lambda api: api.clear_failed(dag_id, run_id))

        def find_end(api: AirflowApi) -> str | None:
            run = api.get(f"dags/{dag_id}/dagRuns/{run_id}")
            ended = run["end_date"] and datetime.fromisoformat(run["end_date"]).timestamp() > cleared_at
            return str(run["state"]) if ended and run["state"] in FINISHED else None

        found: str = await_value(lambda: self.ask(find_end), timeout_s, f"the end of {dag_id} {run_id}, cleared")
        return found


def await_value(find: Callable[[], Any], timeout_s: float, what: str, *, poll_s: float = POLL_S) -> Any:
    """Wait until something is found.

    Raises
    ------
    UnavailableError
        It was not, in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := find()):
        if time.monotonic() > deadline:
            raise UnavailableError(f"{what} must come in {timeout_s:.0f} s")
        time.sleep(poll_s)
    return found


def copy_dags(folder: Path, *others: Path) -> Path:
    """Copy the house's DAG files, and others, to where Airflow is to find them and a benchmark may spoil them."""
    folder.mkdir(parents=True)
    for path in [*(PROJECT_ROOT / "dags").glob("[!_]*.py"), *others]:
        shutil.copy(path, folder)
    return folder


@contextmanager
def run_system(settings: Settings, dags: Path, say: Callable[[str], None], **environment: str) -> Iterator[Running]:
    """Start a system whose tasks obey orders; stop it at the end of the block."""
    folder = dags.parent / "orders"
    path = os.pathsep.join(filter(None, [str(SITE), environment.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH")]))
    wanted = {**environment, FOLDER: str(folder), "PYTHONPATH": path}
    with set_environment(wanted):
        state = start_detached(settings, on_event=lambda event: say(event.component), dags_folder=dags)
    try:
        yield Running(settings, connect_airflow(settings, state), Orders(folder), dags, state.instance)
    finally:
        stop(settings)


@contextmanager
def set_environment(wanted: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started in the block."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
