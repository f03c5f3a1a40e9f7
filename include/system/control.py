"""Start and stop a system from another process: what `up --detach`, `demo` and `down` do."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import psutil

from include.errors import UnavailableError
from include.settings import Settings
from include.system.credentials import load_login
from include.system.endpoints import choose_endpoints
from include.system.environment import DAGS_FOLDER, program_environment
from include.system.process import HEALTHY, open_log
from include.system.state import ComponentState, State, load_state, prepare_home, read_state, supervisor_of
from include.system.supervisor import FAILURE, SYSTEM, Event, OnEvent, hold_lock, start_failure
from include.system.warden import kill_marked

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 40.0
_POLL_S = 0.1


def start_detached(
    settings: Settings,
    *,
    on_event: OnEvent,
    dags_folder: Path = DAGS_FOLDER,
    timeout_s: float = START_TIMEOUT_S,
) -> State:
    """Start the supervisor in its own session and wait until all components are healthy.

    Parameters
    ----------
    settings
        Handed on whole; the new process reads no `.env` file.
    on_event
        Called as components change; progress for a person.
    dags_folder
        The DAGs that Airflow runs.
    timeout_s
        After so long the start counts as failed; everything is stopped again.

    Raises
    ------
    InputError
        If the home cannot be written or a fixed port is no port.
    UnavailableError
        If the home already runs, a port is taken, or a component is not healthy in time; its log's last lines say why.
    """
    prepare_home(settings)
    load_login(settings)
    with hold_lock(settings.run_dir):
        choose_endpoints(settings)  # a wrong or taken port is said here, in its own class
    log = settings.run_dir / "logs" / "supervisor.log"
    log_start = log.stat().st_size if log.exists() else 0
    supervisor = _spawn(settings, dags_folder, log)
    try:
        return _await_ready(settings, supervisor, on_event, time.monotonic() + timeout_s)
    except ChildProcessError as error:
        raise UnavailableError(_read_failure(log, log_start)) from error
    except BaseException:
        _end(supervisor, STOP_TIMEOUT_S)
        raise


def _spawn(settings: Settings, dags_folder: Path, log: Path) -> psutil.Process:
    argv = [sys.executable, "-m", "include.system.supervisor", str(dags_folder)]
    with open_log(log) as file:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, file.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, file.fileno(), 2),
        ]
        # Not Popen: this process does not answer for its child's end, and may end first.
        pid = os.posix_spawn(sys.executable, argv, program_environment(settings), file_actions=actions, setsid=True)
    return psutil.Process(pid)


def _await_ready(settings: Settings, supervisor: psutil.Process, on_event: OnEvent, deadline: float) -> State:
    seen: dict[str, str] = {}
    while time.monotonic() < deadline:
        state = load_state(settings.run_dir)
        if state is not None and state.supervisor_pid == supervisor.pid:
            _tell_changes(state, seen, on_event)
            if state.ready:
                on_event(Event(SYSTEM, "ready", state.airflow_url))
                return state
        if _has_ended(supervisor):
            raise ChildProcessError
        time.sleep(_POLL_S)
    raise _late(load_state(settings.run_dir))


def _tell_changes(state: State, seen: dict[str, str], on_event: OnEvent) -> None:
    for name, component in state.components.items():
        if seen.get(name) != component.status:
            seen[name] = component.status
            on_event(Event(name, component.status, component.detail))


def _has_ended(process: psutil.Process) -> bool:
    try:
        process.wait(timeout=0)
    except psutil.TimeoutExpired:
        return False
    return True


def _late(state: State | None) -> UnavailableError:
    components: dict[str, ComponentState] = state.components if state else {}
    for name, component in components.items():
        if component.status != HEALTHY:
            return start_failure(name, f"it is {component.status} ({component.detail})", Path(component.log))
    return UnavailableError("the system must be healthy in time, but its supervisor wrote no state")


def _read_failure(log: Path, start: int) -> str:
    """Read what the supervisor said last; all that it wrote since its start if it could not say it."""
    text = log.read_bytes()[start:].decode(errors="replace")
    return text.rpartition(FAILURE)[2].strip()


def stop(settings: Settings, *, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the system of a home and wait until nothing of it is left.

    Parameters
    ----------
    settings
        Name the home.
    timeout_s
        After so long the supervisor is killed, and what it started with it.

    Returns
    -------
    bool
        False if nothing was running.
    """
    state = read_state(settings)
    supervisor = supervisor_of(state) if state else None
    if state is None or supervisor is None:
        return _clear_leftovers(settings)
    _end(supervisor, timeout_s)
    kill_marked(state.instance)
    return True


def _end(supervisor: psutil.Process, timeout_s: float) -> None:
    """Ask a supervisor to end all; kill it if it does not, and its warden ends the rest."""
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.terminate()
        try:
            supervisor.wait(timeout_s)
        except psutil.TimeoutExpired:
            supervisor.kill()


def _clear_leftovers(settings: Settings) -> bool:
    """End what a killed supervisor may have left (its warden does this too, where that still lives)."""
    left = load_state(settings.run_dir)
    if left is not None:
        kill_marked(left.instance)
    return False
