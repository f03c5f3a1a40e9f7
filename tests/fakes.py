"""Stand-ins that are real where it counts: a Slack that answers over HTTP on loopback, as it is told to."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

SECRET_PATH = "/services/T00000000/B00000000/do-not-print-me"
TOKEN = "xoxb-do-not-print-me"
CHANNEL = "C0FORECASTS"


@dataclass(frozen=True)
class Answer:
    """One answer to a post.

    `hang` keeps the connection open and says nothing until the server is closed; `slow_s` takes that long to answer;
    `body` None is what a Slack that is well says.
    """

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    slow_s: float = 0.0


@dataclass(frozen=True)
class Call:
    """One request that came: `method` is webhook, or one of the Web API; `at` is the time, seconds since 1970."""

    at: float
    method: str
    body: dict[str, Any]
    status: int


class FakeSlack:
    """An incoming webhook and the Web API's methods for messages, in a thread; use it in a `with` block.

    Parameters
    ----------
    answers
        Given to the posts in this order; `otherwise` after the last.

    Attributes
    ----------
    calls
        Every request, in the order they came.
    """

    def __init__(self, *answers: Answer) -> None:
        self.calls: list[Call] = []
        self.otherwise = Answer()
        self._answers, self._closing = deque(answers), threading.Event()
        self._numbers = itertools.count(1)
        self._server = _Server(("127.0.0.1", 0), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The webhook's address, a secret."""
        return f"http://127.0.0.1:{self._server.server_port}{SECRET_PATH}"

    @property
    def api_url(self) -> str:
        """The Web API's address."""
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The body of every request."""
        return [call.body for call in self.calls]

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The bodies that were answered by 200: what a channel shows."""
        return [call.body for call in self.calls if call.status == 200]

    def __enter__(self) -> FakeSlack:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, body: dict[str, Any]) -> tuple[Answer, str]:
        """Write a request down, and choose what it is answered."""
        method = path.removeprefix("/api/") if path.startswith("/api/") else "webhook"
        answer = self._answers.popleft() if self._answers else self.otherwise
        self.calls.append(Call(time.time(), method, body, 0 if answer.hang else answer.status))
        if answer.body is not None:
            return answer, answer.body
        return answer, "ok" if method == "webhook" else json.dumps(self._agree(method, body))

    def _agree(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "chat.update":
            return {"ok": True, "channel": body["channel"], "ts": body["ts"]}
        return {"ok": True, "channel": CHANNEL, "ts": f"1792000000.{next(self._numbers):06d}"}

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer, body = slack._take(self.path, json.loads(said or b"{}"))
                if slack._closing.wait(None if answer.hang else answer.slow_s) and answer.hang:
                    return
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(body.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the path is the secret."""

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that did not wait for its answer."""


def refusing_url() -> str:
    """Return a webhook's address on a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}{SECRET_PATH}"
