"""What is running on a home, as a file that any process can read: `run/state.json`.

A state counts only while its supervisor lives; the process's creation time guards against a reused process id.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from include.errors import InputError
from include.settings import Settings
from include.system.health import Probe, ask, find_problem

_CLOCK_SLACK_S = 2.0  # creation times are reckoned from the boot time, which moves when the clock is set


@dataclass(frozen=True)
class ComponentState:
    """One component as its supervisor last saw it; `status` as in `include.system.process`, times in s since 1970."""

    status: str
    log: str
    url: str
    section: str | None = None
    pid: int | None = None
    started_at: float = 0.0
    restarts: int = 0
    detail: str | None = None


@dataclass(frozen=True)
class State:
    """One running system."""

    instance: str
    supervisor_pid: int
    supervisor_created: float
    started_at: str
    airflow_url: str
    mlflow_url: str
    ready: bool = False
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


def write_state(run_dir: Path, state: State) -> None:
    """Replace the state in one step: readers see the old one or the new one."""
    path = state_file(run_dir)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(state), indent=1))
    part.replace(path)


def load_state(run_dir: Path) -> State | None:
    """Read the last written state, whether or not its supervisor still lives."""
    try:
        raw = json.loads(state_file(run_dir).read_text())
    except FileNotFoundError:
        return None
    raw["components"] = {name: ComponentState(**each) for name, each in raw["components"].items()}
    return State(**raw)


def read_state(settings: Settings) -> State | None:
    """Give the state of the system that runs on this home, or None if none does."""
    state = load_state(settings.run_dir)
    return state if state is not None and supervisor_of(state) is not None else None


def supervisor_of(state: State) -> psutil.Process | None:
    """Find the supervisor that wrote a state, if it still lives."""
    try:
        process = psutil.Process(state.supervisor_pid)
        is_same = abs(process.create_time() - state.supervisor_created) < _CLOCK_SLACK_S
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def check_health(state: State) -> dict[str, bool | str]:
    """Ask each component now: True, or what is wrong with it."""
    answers = {url: ask(url) for url in {each.url for each in state.components.values()}}
    problems = {
        name: find_problem(Probe(each.url, each.section), answers[each.url], started_at=each.started_at)
        for name, each in state.components.items()
    }
    return {name: problem or True for name, problem in problems.items()}
