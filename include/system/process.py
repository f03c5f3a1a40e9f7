"""One component's process: started with a log, watched, and started again when it dies.

Status goes waiting → starting → healthy, back to restarting on a death, to gave_up after many, and ends as stopped.
What was given up is tried again after a while: what it died of, a database that was down, may be over.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from include.system.components import Component
from include.system.health import Answer, find_problem
from include.system.state import ComponentState
from include.system.warden import COMPONENT, INSTANCE, kill_marked

WAITING, STARTING, HEALTHY, UNHEALTHY = "waiting", "starting", "healthy", "unhealthy"
RESTARTING, GAVE_UP, STOPPED = "restarting", "gave_up", "stopped"

DEATHS_TO_GIVE_UP = 5
DEATH_WINDOW_S = 60.0
GIVEN_UP_FOR_S = 300.0
FIRST_BACKOFF_S = 0.5
HUNG_AFTER_S = 120.0  # generous: two busy cores can hold a heartbeat back for tens of seconds
LOG_LIMIT_BYTES = 5_000_000


@dataclass(frozen=True)
class Surroundings:
    """What all processes of one instance share."""

    instance: str
    environment: dict[str, str]
    folder: Path
    logs: Path

    def open_process(self, name: str, argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """Start a program in its own session, its output in its log, the instance's marker in its environment."""
        marked = {**self.environment, INSTANCE: self.instance, COMPONENT: name}
        with open_log(self.log_of(name)) as log:
            # Its own session: Ctrl-C reaches the supervisor alone, which ends the components in order.
            return subprocess.Popen(
                argv,
                cwd=self.folder,
                env=marked,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log_of(self, name: str) -> Path:
        """Tell where a program's output goes."""
        return self.logs / f"{name}.log"


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, after setting a big one aside."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


@dataclass
class Runner:
    """Keeps one component running."""

    component: Component
    surroundings: Surroundings
    status: str = WAITING
    detail: str | None = None
    restarts: int = 0
    death: str | None = None
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _well_at: float = 0.0
    _start_due: float = 0.0
    _deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_TO_GIVE_UP))

    def step(self, answer: Answer | None) -> None:
        """Start what is due, notice a death, take in what the health address said (None: not asked this time)."""
        if self.status == STOPPED:
            return
        if self._process is None:
            self._start_if_due()
        elif self._process.poll() is not None:
            self._take_death(f"ended with exit code {self._process.returncode}")
        elif answer is not None:
            self._take_answer(answer)

    def _start_if_due(self) -> None:
        if time.monotonic() < self._start_due:
            return
        self.restarts += self.status in (RESTARTING, GAVE_UP)
        # The clock of heartbeats, read before the process exists: none of its own can be older.
        self._started_at = time.time()
        self._well_at = time.monotonic()
        self._process = self.surroundings.open_process(self.component.name, self.component.argv)
        self.status, self.detail = STARTING, None

    def _take_answer(self, answer: Answer) -> None:
        if answer.problem and self.component.probe.section:
            return  # the API server is down: that says nothing about this one
        problem = find_problem(self.component.probe, answer, started_at=self._started_at)
        now = time.monotonic()
        if problem is None:
            self.status, self.detail, self._well_at = HEALTHY, None, now
        elif now - self._well_at > HUNG_AFTER_S:
            self._take_death(f"was not healthy for {HUNG_AFTER_S:.0f} s: {problem}")
        else:
            self.status = UNHEALTHY if self.status in (HEALTHY, UNHEALTHY) else self.status
            self.detail = problem

    def _take_death(self, reason: str) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        self.death = reason
        self.detail = f"{reason}; its log is {self.surroundings.log_of(self.component.name)}"
        # What a killed scheduler leaves behind would go on working beside the new one.
        self.kill()
        recent = [at for at in self._deaths if now - at < DEATH_WINDOW_S]
        if len(recent) == DEATHS_TO_GIVE_UP:
            self.status, self._start_due = GAVE_UP, now + GIVEN_UP_FOR_S
            self.detail = f"died {len(recent)} times within {DEATH_WINDOW_S:.0f} s, {self.detail}"
            return
        self.status = RESTARTING
        self._start_due = now + FIRST_BACKOFF_S * 2 ** (len(recent) - 1)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, which all take as a request to finish."""
        if self._process is not None:
            self._process.terminate()

    def is_in_grace(self, asked: float) -> bool:
        """Tell whether it still runs and may go on ending by itself; `asked` as time.monotonic() gives it."""
        is_running = self._process is not None and self._process.poll() is None
        return is_running and time.monotonic() - asked < self.component.grace_s

    def kill(self) -> None:
        """End the process and all that it started."""
        kill_marked(self.surroundings.instance, self.component.name)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def describe(self) -> ComponentState:
        """Give what the state file says about it."""
        probe = self.component.probe
        return ComponentState(
            status=self.status,
            log=str(self.surroundings.log_of(self.component.name)),
            url=probe.url,
            section=probe.section,
            pid=self._process.pid if self._process else None,
            started_at=self._started_at,
            restarts=self.restarts,
            detail=self.detail,
            death=self.death,
        )


def tail(path: Path, lines: int = 8) -> str:
    """Read the last lines of a log, to be shown beside an error."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384), os.SEEK_SET)
        text = file.read().decode(errors="replace")
    return "\n".join(text.rstrip().splitlines()[-lines:])
