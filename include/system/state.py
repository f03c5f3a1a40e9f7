"""What is running on a home, as a file that any process can read: `run/state.json`.

A state counts only while its supervisor lives; the process's creation time guards against a reused process id.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from include.errors import InputError
from include.files import write_atomically
from include.settings import Settings
from include.system.health import Probe, ask, find_problem

_SAME_MOMENT_S = 0.5


@dataclass(frozen=True)
class ComponentState:
    """One component as its supervisor last saw it; `status` as in `include.system.process`, times in s since 1970.

    `death` says how it ended the last time, which `detail` forgets when it is started again.
    """

    status: str
    log: str
    url: str
    section: str | None = None
    pid: int | None = None
    started_at: float = 0.0
    restarts: int = 0
    detail: str | None = None
    death: str | None = None


@dataclass(frozen=True)
class State:
    """One running system; `supervisor_created` in seconds from the machine's boot."""

    instance: str
    supervisor_pid: int
    supervisor_created: float
    started_at: str
    airflow_url: str
    mlflow_url: str
    ready: bool = False
    stopping: bool = False
    components: dict[str, ComponentState] = field(default_factory=dict)


def prepare_home(settings: Settings) -> None:
    """Make the folders of a home; the one with the secrets is its owner's alone.

    Raises
    ------
    InputError
        If `home` cannot be made or written.
    """
    folders = {settings.run_dir / "logs": 0o700}
    shared = [settings.airflow_home, settings.mlflow_home]
    shared += [] if settings.has_object_store else [settings.inbox]
    folders |= dict.fromkeys(shared, 0o755)
    try:
        for folder, mode in folders.items():
            folder.mkdir(parents=True, exist_ok=True, mode=mode)
        settings.run_dir.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"home must be a folder that can be written ({error.strerror})", value=settings.home, place="CLOSECAST_HOME"
        ) from error


def state_file(run_dir: Path) -> Path:
    """Tell where the state of a run folder is written."""
    return run_dir / "state.json"


def heartbeat_file(run_dir: Path) -> Path:
    """Tell which file the watcher touches at each look."""
    return run_dir / "watcher.heartbeat"


def write_state(run_dir: Path, state: State) -> None:
    """Replace the state in one step: readers see the old one or the new one."""
    write_atomically(state_file(run_dir), json.dumps(asdict(state), indent=1))


def load_state(run_dir: Path) -> State | None:
    """Read the last written state, whether or not its supervisor still lives.

    Raises
    ------
    InputError
        The file is damaged, as a disk leaves it that lost its power.
    """
    path = state_file(run_dir)
    try:
        raw = json.loads(path.read_text())
        raw["components"] = {name: ComponentState(**each) for name, each in raw["components"].items()}
        return State(**raw)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        rule = "the state of the system must be readable; with nothing running, remove the file"
        raise InputError(rule, value=type(error).__name__, place=str(path)) from error


def read_state(settings: Settings) -> State | None:
    """Give the state of the system that runs on this home, or None if none does."""
    state = load_state(settings.run_dir)
    return state if state is not None and supervisor_of(state) is not None else None


def supervisor_of(state: State) -> psutil.Process | None:
    """Find the supervisor that wrote a state, if it still lives."""
    try:
        process = psutil.Process(state.supervisor_pid)
        is_same = abs(created_after_boot(process) - state.supervisor_created) < _SAME_MOMENT_S
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def created_after_boot(process: psutil.Process) -> float:
    """Give the moment a process was created, in seconds from the machine's boot.

    A time of day would not do: it is reckoned from the boot, and moves when the clock is set or a machine that slept
    wakes up. The supervisor would seem to be another process.
    """
    return process.create_time() - psutil.boot_time()


def check_health(state: State) -> dict[str, bool | str]:
    """Ask each component now: True, or what is wrong with it."""
    answers = {url: ask(url) for url in {each.url for each in state.components.values()}}
    problems = {
        name: find_problem(Probe(each.url, each.section), answers[each.url], started_at=each.started_at)
        for name, each in state.components.items()
    }
    return {name: problem or True for name, problem in problems.items()}
