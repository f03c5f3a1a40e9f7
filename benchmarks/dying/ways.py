"""The ways in which a process of a task dies by itself. Standard library only: whoever dies may hold no more."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable

HANG_S = 3600.0
MEMORY_BYTES = 64 << 20
"""What a process that runs out of memory may still take, beside what it has."""


def raise_error() -> None:
    """Fail as Python code does."""
    raise RuntimeError("a task of the benchmark dies by an exception")


def exit_at_once() -> None:
    """End without a word to anybody: no exception, no handler, no flush."""
    os._exit(3)


def kill_self() -> None:
    """End as the kernel's out-of-memory killer ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def read_nowhere() -> None:
    """Crash in native code."""
    ctypes.string_at(0)


def run_out_of_memory() -> None:
    """Ask for more memory than the process may have, until it is refused."""
    taken = _address_space() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (taken, taken))
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def hang() -> None:
    """Do nothing for longer than anybody waits."""
    time.sleep(HANG_S)


def _address_space() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 (nothing is imported that could die first)
        return int(file.read().split()[0]) * resource.getpagesize()


WAYS: dict[str, Callable[[], None]] = {
    "exception": raise_error,
    "os._exit": exit_at_once,
    "SIGKILL": kill_self,
    "segfault": read_nowhere,
    "out of memory": run_out_of_memory,
    "hang": hang,
}


def die(way: str) -> None:
    """Die in a way; comes back never, or by an exception."""
    sys.stdout.write(f"dies now: {way}\n")
    sys.stdout.flush()
    WAYS[way]()
