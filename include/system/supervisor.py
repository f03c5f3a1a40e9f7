"""Runs the components of one home until it is told to stop, and leaves no process behind.

run_supervisor ──┬── components, each in its own session, all marked with the instance's id
                 └── warden: kills what is marked when the supervisor itself is killed
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from include.errors import ClosecastError, UnavailableError
from include.settings import Settings
from include.system import process, warden
from include.system.components import Component, Setup, build_components, mark_migrated, plan_setup
from include.system.credentials import load_login
from include.system.endpoints import choose_endpoints, remember_endpoints
from include.system.environment import DAGS_FOLDER, component_environment
from include.system.health import Answer, ask
from include.system.process import Runner, Surroundings, tail
from include.system.state import State, created_after_boot, load_state, prepare_home, state_file, write_state

TICK_S = 0.1
START_PROBE_S = 0.25
STEADY_PROBE_S = 10.0
PROBE_TIMEOUT_S = 2.0  # the loop waits for it, and a death should be seen soon
SYSTEM = "system"
FAILURE = "did not start: "  # `start_detached` shows what follows it in supervisor.log


@dataclass(frozen=True)
class Event:
    """A component has come to a new status; `system` is the whole: ready, stopping, stopped."""

    component: str
    status: str
    detail: str | None = None


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Plan:
    """What to run: the components, the command before them, and where their pages are."""

    components: tuple[Component, ...]
    environment: dict[str, str]
    airflow_url: str
    mlflow_url: str
    setup: Setup | None = None
    after_setup: Callable[[], None] = lambda: None


def run_supervisor(settings: Settings, *, on_event: OnEvent, dags_folder: Path = DAGS_FOLDER) -> None:
    """Run the system of a home in the foreground until SIGINT, SIGTERM or SIGHUP (or `stop` from elsewhere).

    Raises
    ------
    InputError
        If the home cannot be written or a fixed port is no port.
    UnavailableError
        If the home already runs, a fixed port is taken, or a component does not start.
    """
    prepare_home(settings)
    with hold_lock(settings.run_dir):
        Supervisor(settings.run_dir, _plan(settings, dags_folder), on_event).run()


def _plan(settings: Settings, dags_folder: Path) -> Plan:
    load_login(settings)
    endpoints = choose_endpoints(settings)
    remember_endpoints(settings, endpoints)
    return Plan(
        components=build_components(settings, endpoints),
        environment=component_environment(settings, endpoints, dags_folder=dags_folder),
        airflow_url=endpoints.airflow_url,
        mlflow_url=settings.mlflow_tracking_uri or endpoints.mlflow_url,
        setup=plan_setup(settings),
        after_setup=lambda: mark_migrated(settings),
    )


@contextlib.contextmanager
def hold_lock(run_dir: Path) -> Iterator[None]:
    """Keep a second supervisor off a home.

    Raises
    ------
    UnavailableError
        If one is there; it says where its pages are.
    """
    lock = FileLock(run_dir / "supervisor.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        state = load_state(run_dir)
        address = f" at {state.airflow_url} (process {state.supervisor_pid})" if state else ""
        raise UnavailableError(
            f"one system runs on a home, and this one runs already{address}", place=str(run_dir)
        ) from error
    try:
        yield
    finally:
        lock.release()


class Supervisor:
    """The loop: starts, asks, restarts, stops."""

    def __init__(self, run_dir: Path, plan: Plan, on_event: OnEvent) -> None:
        self._run_dir, self._plan, self._on_event = run_dir, plan, on_event
        instance = uuid.uuid4().hex
        self._around = Surroundings(instance, plan.environment, run_dir.parent, run_dir / "logs")
        self._runners = [Runner(component, self._around) for component in plan.components]
        self._setup: subprocess.Popen[bytes] | None = None
        self._is_set_up = plan.setup is None
        self._warden: subprocess.Popen[bytes] | None = None
        self._stop_requests = 0
        self._next_probe = 0.0
        self._state = State(
            instance=instance,
            supervisor_pid=os.getpid(),
            supervisor_created=created_after_boot(psutil.Process()),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            airflow_url=plan.airflow_url,
            mlflow_url=plan.mlflow_url,
        )

    def run(self) -> None:
        """Run until a signal says stop; then end everything.

        Raises
        ------
        UnavailableError
            If the setup command fails, or a component gives up before all have been healthy once.
        """
        self._clear_leftovers()
        with self._signals():
            try:
                self._keep_warden()
                self._start_setup()
                while not self._stop_requests:
                    self._tick()
                    time.sleep(TICK_S)
            finally:
                self._stop()

    def _clear_leftovers(self) -> None:
        """End what a supervisor left behind that was killed together with its warden."""
        left = load_state(self._run_dir)
        if left is not None:
            warden.kill_marked(left.instance)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def request_stop(number: int, frame: object) -> None:
            self._stop_requests += 1

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, request_stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _keep_warden(self) -> None:
        if self._warden is None or self._warden.poll() is not None:
            argv = [sys.executable, "-P", warden.__file__, self._around.instance]
            # Nobody else holds the writing end: it closes when this process ends, however that happens.
            self._warden = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)

    def _start_setup(self) -> None:
        if self._plan.setup is not None:
            self._setup = self._around.open_process(self._plan.setup.name, self._plan.setup.argv)
            self._on_event(Event(self._plan.setup.name, process.STARTING))

    def _tick(self) -> None:
        self._keep_warden()
        self._follow_setup()
        answers = self._ask_if_due()
        for runner in self._runners:
            if self._is_set_up or not runner.component.waits_for_setup:
                self._step(runner, answers.get(runner.component.probe.url))
        self._note()

    def _follow_setup(self) -> None:
        if self._setup is None or self._plan.setup is None or self._setup.poll() is None:
            return
        name = self._plan.setup.name
        if self._setup.returncode != 0:
            raise start_failure(name, f"ended with exit code {self._setup.returncode}", self._around.log_of(name))
        self._setup, self._is_set_up = None, True
        self._plan.after_setup()
        self._on_event(Event(name, "done"))

    def _ask_if_due(self) -> dict[str, Answer]:
        """Ask each address once for all components that it speaks for."""
        if time.monotonic() < self._next_probe:
            return {}
        answers = {url: ask(url, PROBE_TIMEOUT_S) for url in {runner.component.probe.url for runner in self._runners}}
        all_well = all(runner.status == process.HEALTHY for runner in self._runners)
        self._next_probe = time.monotonic() + (STEADY_PROBE_S if all_well else START_PROBE_S)
        return answers

    def _step(self, runner: Runner, answer: Answer | None) -> None:
        before = runner.status
        runner.step(answer)
        if runner.status == before:
            return
        self._next_probe = min(self._next_probe, time.monotonic() + START_PROBE_S)
        self._on_event(Event(runner.component.name, runner.status, runner.detail))
        if runner.status == process.GAVE_UP and not self._state.ready:
            name = runner.component.name
            raise start_failure(name, runner.detail or "", self._around.log_of(name))

    def _note(self) -> None:
        """Write the state where it has changed, and say once that all are healthy."""
        was_ready = self._state.ready
        state = replace(
            self._state,
            ready=was_ready or all(runner.status == process.HEALTHY for runner in self._runners),
            components={runner.component.name: runner.describe() for runner in self._runners},
        )
        if state == self._state:
            return
        try:
            write_state(self._run_dir, state)
        except OSError:
            return  # a full disk ends no system: the next round writes it
        self._state = state
        if state.ready and not was_ready:
            self._on_event(Event(SYSTEM, "ready", state.airflow_url))

    def _stop(self) -> None:
        self._on_event(Event(SYSTEM, "stopping"))
        # Whoever watches must not take what ends now for a death.
        with contextlib.suppress(OSError):
            write_state(self._run_dir, replace(self._state, stopping=True))
        requests = self._stop_requests
        for stage in sorted({runner.component.stage for runner in self._runners}, reverse=True):
            self._stop_stage([runner for runner in self._runners if runner.component.stage == stage], requests)
        warden.kill_marked(self._around.instance)
        self._end_helpers()
        state_file(self._run_dir).unlink(missing_ok=True)
        self._on_event(Event(SYSTEM, "stopped"))

    def _stop_stage(self, runners: list[Runner], requests: int) -> None:
        """Ask nicely; wait for the grace time, or until a second signal says not to; then kill."""
        for runner in runners:
            runner.ask_to_stop()
        asked = time.monotonic()
        while self._stop_requests == requests and any(runner.is_in_grace(asked) for runner in runners):
            time.sleep(TICK_S / 2)
        for runner in runners:
            runner.kill()

    def _end_helpers(self) -> None:
        if self._setup is not None:
            self._setup.wait()
        if self._warden is not None and self._warden.stdin is not None:
            self._warden.stdin.close()
            self._warden.wait()


def start_failure(name: str, reason: str, log: Path) -> UnavailableError:
    """Build the error of a system that does not start, with the last lines that the component wrote."""
    return UnavailableError(f"{name} must start, but {reason}", value=f"\n{tail(log)}\n", place=str(log))


def main(argv: list[str] | None = None) -> int:
    """Run detached: settings come by CLOSECAST_* variables alone, the one argument is the DAG folder."""
    dags_folder = (sys.argv[1:] if argv is None else argv)[0]
    settings = Settings(_env_file=None)
    try:
        run_supervisor(settings, on_event=_log_event, dags_folder=Path(dags_folder))
    except ClosecastError as error:
        sys.stderr.write(f"{FAILURE}{error}\n")
        return error.exit_code
    return 0


def _log_event(event: Event) -> None:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):  # a full disk ends no system
        sys.stdout.write(f"{moment} {event.component} {event.status} {event.detail or ''}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
