"""Deaths of what tasks stand on: a component, a DAG file, the databases, the disk. Each is broken for a while.

A scene is a context manager: it breaks one thing of a running system on entry and mends it on exit, where the system
does not do so by itself.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.running import Running
from benchmarks.told import Ears
from include.system.environment import airflow_database

MINUTE_S = 60.0
BLOCK_BYTES = 1 << 20
QUIET_S = 30.0
"""Word that comes after so long is of something else."""


@dataclass(frozen=True)
class Scene:
    """A death of something below the tasks.

    Attributes
    ----------
    death, place
        Its names in the table.
    spoil
        Breaks and mends.
    until_told
        Whether it stays broken until somebody is told; else it is over at once.
    """

    death: str
    place: str
    spoil: Callable[[Running], AbstractContextManager[None]]
    until_told: bool = True


@contextmanager
def kill(running: Running, component: str) -> Iterator[None]:
    """Send SIGKILL to a component's first process; its supervisor starts it again."""
    pid = running.component(component).pid
    assert pid is not None
    psutil.Process(pid).kill()
    yield


@contextmanager
def freeze(running: Running, component: str) -> Iterator[None]:
    """Stop every process of a component: it is there, and does nothing."""
    stopped = running.processes(component)
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def spoil_file(running: Running, name: str) -> Iterator[None]:
    """Leave a DAG file as a careless editor does."""
    path = running.dags / name
    text = path.read_text()
    path.write_text(f"{text}\ndef unfinished(:\n")
    try:
        yield
    finally:
        path.write_text(text)


@contextmanager
def lock_database(running: Running) -> Iterator[None]:
    """Keep every other process from writing to Airflow's database, for a minute at least."""
    until = time.monotonic() + MINUTE_S
    with closing(sqlite3.connect(airflow_database(running.settings), timeout=60.0, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def fill_disk(running: Running) -> Iterator[None]:
    """Leave no byte of room where the home is."""
    path = running.settings.home / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(BLOCK_BYTES)) == BLOCK_BYTES:
            pass
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def mount_small(folder: Path, size_bytes: int) -> Iterator[bool]:
    """Put a small file system at a folder; False where this user may not."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


SCENES = (
    Scene("SIGKILL, started again", "scheduler", partial(kill, component="scheduler"), until_told=False),
    Scene("SIGKILL, started again", "dag-processor", partial(kill, component="dag-processor"), until_told=False),
    Scene("hangs", "dag-processor", partial(freeze, component="dag-processor")),
    Scene("no longer parses", "market_close.py", partial(spoil_file, name="market_close.py")),
    Scene("down", "MLflow", partial(freeze, component="mlflow")),
    Scene("locked for a minute", "metadata database", lock_database),
    Scene("full", "disk", fill_disk),
)


@dataclass(frozen=True)
class Played:
    """A scene that was played.

    Attributes
    ----------
    scene
        Which.
    began_at
        When it broke, seconds since 1970.
    state
        How the session ended that was at work meanwhile.
    """

    scene: Scene
    began_at: float
    state: str


def play(running: Running, ears: Ears, scene: Scene, session: str) -> Played:
    """Break something while a session is at work, wait until people know, mend it, and wait until they know that."""
    run_id = running.ask(lambda api: api.trigger("market_close", {"session": session}))
    with scene.spoil(running):
        began_at = time.time()
        if scene.until_told:
            ears.await_told("", since=began_at)
    ears.await_told("", since=began_at)
    state = running.await_end("market_close", run_id)
    if state == "failed":
        state = running.run_again("market_close", run_id)
    ears.await_told("", since=began_at, is_over=True)
    time.sleep(QUIET_S)
    return Played(scene, began_at, state)
