"""A small process that outlives a killed supervisor just long enough to end what it started.

Run as a program it holds the reading end of a pipe from the supervisor. When the supervisor dies, however it dies, the
pipe closes, and every process that carries the instance's marker in its environment is killed: children of children
in other process groups too. Standard library and psutil only, so that it starts in 0.1 s.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import psutil

INSTANCE = "CLOSECAST_INSTANCE"
COMPONENT = "CLOSECAST_COMPONENT"
_ROUND_S = 0.05


def find_marked(instance: str, component: str | None = None) -> list[psutil.Process]:
    """List the living processes of an instance, or of one of its components.

    Parameters
    ----------
    instance
        The value of CLOSECAST_INSTANCE that they were started with.
    component
        The value of CLOSECAST_COMPONENT; None means all.
    """
    wanted = {INSTANCE: instance} | ({COMPONENT: component} if component else {})
    return [process for process in _others() if _carries(process, wanted)]


def _others() -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter() if process.pid != os.getpid())


def _carries(process: psutil.Process, wanted: dict[str, str]) -> bool:
    try:
        environment = process.environ()
        return all(environment.get(name) == value for name, value in wanted.items()) and _is_running(process)
    except (psutil.Error, OSError):
        return False  # gone, or another user's: not ours


def _is_running(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)


def kill_marked(instance: str, component: str | None = None, *, timeout_s: float = 10.0) -> bool:
    """Kill until none is left; what forks meanwhile is met in the next round.

    Returns
    -------
    bool
        False if some are still there after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while found := find_marked(instance, component):
        if time.monotonic() > deadline:
            return False
        for process in found:
            _kill(process)
        time.sleep(_ROUND_S)
    return True


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil checks the creation time: a reused process id is not hit
    except psutil.NoSuchProcess:
        return


def main(instance: str) -> None:
    """Wait for the supervisor's end, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    kill_marked(instance, timeout_s=60.0)


if __name__ == "__main__":
    main(sys.argv[1])
