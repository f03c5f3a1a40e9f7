"""A resident process that has the heavy libraries imported and forks a child for each task's work.

A fresh process spends up to five seconds of CPU on importing Great Expectations, pandas and their kin before its first
line of work; a fork of this one spends a hundredth of a second. Third-party libraries alone are imported here, and
nothing of them is run before the fork, so that no thread of theirs is at work that a fork could lose, and new code of
ours is picked up by the next child. `include.system.child` falls back to a fresh process where no server listens.

The caller sends one JSON object and its standard output and error; it is told the exit code, also of a child that was
killed. A caller that goes away takes its child with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

PRELOADED = (
    "numpy",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.csv",
    "pyarrow.parquet",
    "pyarrow.compute",
    "deltalake",
    "onnxruntime",
    "exchange_calendars",
    "great_expectations.expectations",
    "pydantic_settings",
    "requests",
    "filelock",
)

_MOST_REQUEST_BYTES = 16_000_000


@dataclass
class _Call:
    """A child at work and who waits for it."""

    pid: int
    connection: socket.socket


class ChildServer:
    """Accepts calls, forks, reaps; one thread, so that a fork is safe."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{path.parent} must belong to this user")
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._calls: dict[int, _Call] = {}
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until the process is ended."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_reader:
                    self._wake_reader.recv(4096)
                    self._reap()
                else:
                    self._end_abandoned(key.data)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(5.0)
        try:
            request, descriptors = _receive(connection)
        except (OSError, ValueError):
            connection.close()
            return
        if not request:  # a health check
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self._become_child(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        call = _Call(pid, connection)
        self._calls[pid] = call
        self._selector.register(connection, selectors.EVENT_READ, call)

    def _become_child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Take the caller's place: its output, environment and folder; then do the work. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            self._listener.close()
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
            os.environ.clear()
            os.environ.update(request["environment"])
            os.chdir(request["folder"])
            setproctitle(f"closecast: {request['call'][0]}")  # what `ps` shows
            from include.system.child import main as do_call

            code = do_call(*request["call"])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Tell each caller whose child has ended how it ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if call := self._calls.pop(pid, None):
                    self._selector.unregister(call.connection)
                    with suppress(OSError), call.connection:
                        call.connection.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode())

    def _end_abandoned(self, call: _Call) -> None:
        """Kill the child of a caller that has gone: it must not write on after its task has failed."""
        if self._calls.pop(call.pid, None) is None:
            return  # its child ended in the same round, and was reaped
        self._selector.unregister(call.connection)
        call.connection.close()
        os.kill(call.pid, signal.SIGKILL)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read a request, which ends at its first line break, and the two descriptors that come with it."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65_536, 2)
    try:
        while data and not data.endswith(b"\n") and len(data) < _MOST_REQUEST_BYTES:
            more = connection.recv(65_536)
            if not more:
                break  # the caller is gone; what came is no whole object, and is refused below
            data += more
        return (json.loads(data) if data else {}), list(descriptors)
    except (OSError, ValueError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def main(path: str) -> None:
    """Import, then serve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what third parties say at import is told by the test suite
        for name in PRELOADED:
            importlib.import_module(name)
    # Also makes the titles of children possible: the library finds its place by an environment that is still whole.
    setproctitle("closecast: child server")
    gc.freeze()  # keeps the collector from touching, and so copying, the pages that children share
    ChildServer(Path(path)).serve()


if __name__ == "__main__":
    main(sys.argv[1])
