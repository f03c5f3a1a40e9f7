"""A real S3 server (moto's) on loopback, and a relay before it that can be shut as an endpoint goes away."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "closecast-tests",
    "AWS_SECRET_ACCESS_KEY": "never-to-be-printed",
    "AWS_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def run_s3_server(folder: Path) -> Iterator[str]:
    """Run the server on a free port; give its address."""
    program = Path(sys.prefix) / "s3" / "bin" / "moto_server"
    if not program.exists():
        pytest.skip(f"no S3 server at {program}: make test installs it")
    log = folder / "moto.log"
    with log.open("w") as out:
        command = [str(program), "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **KEYS})
    try:
        yield f"http://127.0.0.1:{_await_port(server, log)}"
    finally:
        server.terminate()
        server.wait(10)


def _await_port(server: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + 30
    while not (found := re.search(r"Running on http://127.0.0.1:(\d+)", log.read_text())):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return int(found.group(1))


@contextmanager
def refuse_keys(endpoint: str) -> Iterator[None]:
    """Let the server check who asks: it knows no key, so it refuses every one."""
    _post(f"{endpoint}/moto-api/reset-auth", b"0")
    try:
        yield
    finally:
        _post(f"{endpoint}/moto-api/reset-auth", b"inf")


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=10):
        pass


class Relay:
    """Passes connections on to a server while it is open; refuses them, and drops those it has, while it is shut."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._live: list[socket.socket] = []
        self._listener = self._listen(0)
        self._port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def shut(self) -> None:
        self._close(self._listener)
        for connection in self._live:
            self._close(connection)
        self._live.clear()

    def open(self) -> None:
        self._listener = self._listen(self._port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._live += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._close(source)
        self._close(target)

    @staticmethod
    def _close(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
