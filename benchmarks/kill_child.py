"""A process that does an operation and is killed: after so many seconds, or at a change that it makes to the disk.

It is forked from a server that has imported everything and has started no thread of Arrow or Delta, so it begins at
once. Changes are seen by the interpreter's profiler: each call that writes to a table or moves, makes or removes a file
gives two moments, right before and right after it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from benchmarks.kill_scenes import OPERATIONS, OTHER
from include.settings import Settings

_PRELOAD = ["benchmarks.kill_scenes", "exchange_calendars", "pandas", "pyarrow.dataset", "pyarrow.parquet"]
_BUILTINS = {
    "posix": {"mkdir", "rename", "replace", "chmod", "unlink", "rmdir"},
    "deltalake._internal": {"write", "create_deltalake", "create_write_transaction", "restore", "delete"}
    | {"write_to_deltalake", "compact_optimize", "create_checkpoint"},
}
_FUNCTIONS = {"write_file", "write_table"}
_PATIENCE_S = 120

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOAD)


@dataclass(frozen=True)
class Moment:
    """When a process dies: so many seconds after it began, or at a change to the disk, the first of which is 1."""

    seconds: float = 0.0
    change: int | None = None

    def __str__(self) -> str:
        return f"change {self.change}" if self.change else f"{self.seconds:.3f} s"


@dataclass(frozen=True)
class Done:
    """How long a process that was left alone took, which functions changed the disk, in turn, and how it failed."""

    seconds: float
    changes: Sequence[str] = ()
    error: str | None = None


class Child:
    """One operation in a process of its own, which begins at once.

    Parameters
    ----------
    name
        Of the operation; None for the other upload.
    home
        Where it works.
    change
        At which change it kills itself; at none with 0, where changes are to be noted only.
    ail
        Called in it before it begins, to take something from it.
    """

    def __init__(
        self, name: str | None, home: Path, *, change: int | None = None, ail: Callable[[], None] | None = None
    ) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=_perform, args=(name, home, change, ail, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if self._receive() != "ready":
            raise RuntimeError("the process did not start")

    def begin(self) -> None:
        """Let it begin."""
        self._pipe.send("go")

    def finish(self) -> Done | None:
        """Wait for its end; None where it died."""
        try:
            answer = self._receive()
        except EOFError:
            answer = None
        self._process.join(_PATIENCE_S)
        return answer if isinstance(answer, Done) else None

    def kill(self) -> Done | None:
        """Send SIGKILL and wait; what it took where it had ended before."""
        self._process.kill()
        return self.finish()

    def _receive(self) -> object:
        if not self._pipe.poll(_PATIENCE_S):
            self._process.kill()
            raise RuntimeError(f"a process hung for {_PATIENCE_S} s")
        return self._pipe.recv()


def _perform(
    name: str | None, home: Path, change: int | None, ail: Callable[[], None] | None, pipe: Connection
) -> None:
    settings, changes, error = Settings(home=home, _env_file=None), [], None
    operation = OPERATIONS[name] if name else OTHER
    if ail:
        ail()
    pipe.send("ready")
    pipe.recv()
    started = time.perf_counter()
    if change is not None:
        _watch_changes(changes, change)
    try:
        operation.run(settings)
    except Exception as failure:  # noqa: BLE001 (whatever it is, the one who reads the trial must see it)
        error = f"{type(failure).__name__}: {failure}"
    sys.setprofile(None)
    pipe.send(Done(time.perf_counter() - started, changes, error))


def _watch_changes(changes: list[str], fatal: int) -> None:
    """Note each change to the disk from now on, its beginning and its end, and die at one; with 0 at none."""

    def watch(frame: FrameType, event: str, function: object) -> None:
        if _is_change(frame, event, function):
            changes.append(getattr(function, "__name__", frame.f_code.co_name))
            if len(changes) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)


def _is_change(frame: FrameType, event: str, function: object) -> bool:
    if not event.startswith("c_"):
        return frame.f_code.co_name in _FUNCTIONS
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or type(owner).__module__
    return getattr(function, "__name__", "") in _BUILTINS.get(module, ())
