"""A Postgres server for tests, from the system's packages (Debian: apt install postgresql), behind a local socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OWNER = "postgres"
"""Postgres refuses to run as root; where root tests, it runs as the user that its package makes."""


@contextmanager
def run_postgres() -> Iterator[str]:
    """Run a server on a folder of its own; give the address of its empty database."""
    programs = _find_programs()
    user = OWNER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="closecast-pg-") as name:
        if os.geteuid() == 0:
            shutil.chown(name, user)
        data, log = Path(name) / "data", Path(name) / "log"
        initdb = [programs / "initdb", "--auth=trust", "--username=closecast", "--no-sync", "--locale=C", "-E", "UTF8"]
        subprocess.run([*initdb, data], user=user, cwd=name, check=True, capture_output=True)
        options = {"listen_addresses": "", "unix_socket_directories": name, "fsync": "off"}
        argv = [programs / "postgres", "-D", data, *(f"--{key}={value}" for key, value in options.items())]
        with log.open("w") as out:
            server = subprocess.Popen(argv, user=user, cwd=name, stdout=out, stderr=subprocess.STDOUT)
        try:
            _await_ready(server, [programs / "pg_isready", "--host", name, "--quiet"], log)
            yield f"postgresql+psycopg://closecast@/postgres?host={name}"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(30)


def _find_programs() -> Path:
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not debian:
        pytest.skip("no Postgres on this machine: apt install postgresql")
    return debian[-1]


def _await_ready(server: subprocess.Popen[bytes], ask: list[Path | str], log: Path) -> None:
    until = time.monotonic() + 30
    while subprocess.run(ask, check=False).returncode != 0:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
