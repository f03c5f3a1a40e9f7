"""How a task's process reaches the resident `child_server`: where it listens, and what is said to it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

SOCKET = "CLOSECAST_CHILD_SERVER"
"""The variable that tells tasks where the server listens."""


def socket_path(run_dir: Path) -> Path:
    """Tell where the server of a home listens: a short path, since a socket's may have 107 characters at most."""
    name = hashlib.sha256(str(run_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"closecast-{os.getuid()}" / f"{name}.sock"


def call_server(path: str, call: list[str], environment: dict[str, str]) -> int | None:
    """Have a child do a call; return its exit code (negative: the signal), or None where no server listens.

    Parameters
    ----------
    path
        The server's socket.
    call
        The arguments of `include.system.child.main`.
    environment
        Of the child, whole.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        try:
            connection.connect(path)
        except OSError:
            return None
        request = {"call": call, "environment": environment, "folder": str(Path.cwd())}
        sys.stdout.flush()
        socket.send_fds(connection, [b" "], [1, 2])
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = connection.recv(64)
    return int(json.loads(answer)) if answer else -signal.SIGKILL
