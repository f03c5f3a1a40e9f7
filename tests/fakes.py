"""Stand-ins that are real where it counts: a Slack that answers over HTTP on loopback, as it is told to."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

SECRET_PATH = "/services/T00000000/B00000000/do-not-print-me"


@dataclass(frozen=True)
class Answer:
    """One answer to a post; `hang` keeps the connection open and says nothing until the server is closed."""

    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


class FakeSlack:
    """An incoming webhook in a thread; use it in a `with` block.

    Parameters
    ----------
    answers
        Given to the posts in this order; 200 "ok" after the last.
    """

    def __init__(self, *answers: Answer) -> None:
        self.posts: list[dict[str, Any]] = []
        self._answers, self._closing = deque(answers), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The webhook's address, a secret."""
        return f"http://127.0.0.1:{self._server.server_port}{SECRET_PATH}"

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

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                slack.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = slack._answers.popleft() if slack._answers else Answer()
                if answer.hang:
                    slack._closing.wait()
                    return
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the path is the secret."""

        return Handler


def refusing_url() -> str:
    """Return a webhook's address on a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}{SECRET_PATH}"
