"""The registry over REST: the same answers as in process, and no proxy or stranger is taken for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from include.errors import NotFoundError, UnavailableError
from include.registry.api import RestRegistry, is_loopback
from include.registry.ledger import read_ledger
from include.registry.open import open_registry
from include.registry.promote import promote_version, rollback_version
from include.registry.resolve import resolve_version
from include.registry.verify import verify_ledger
from include.settings import Settings


@pytest.fixture
def served(own: Settings, mlflow_url: str) -> Settings:
    return own.model_copy(update={"mlflow_tracking_uri": mlflow_url})


def test_a_server_and_the_local_store_answer_alike(own: Settings, served: Settings) -> None:
    registry = open_registry(served)
    assert isinstance(registry, RestRegistry)
    assert registry.look() == open_registry(own).look()
    registry.put_in_production(3)
    registry.name_champion(1)
    registry.tag_model("a", "b")
    state = open_registry(own).look()
    assert (set(state.in_production), state.champion, state.tags["a"]) == ({3}, 1, "b")
    assert registry.look() == state


def test_what_a_server_does_not_have_is_not_found(served: Settings) -> None:
    nobodys = RestRegistry(served.model_copy(update={"model_name": "nobodys"}))
    assert nobodys.look().versions == {}
    for change in (nobodys.put_in_production, nobodys.name_champion):
        with pytest.raises(NotFoundError):
            change(1)


def test_promote_and_roll_back_over_rest(served: Settings) -> None:
    assert promote_version(served, 1, who="ada", why="to see") == 2
    assert rollback_version(served, to=None, who="ada", why="seen") == (1, 2)
    assert resolve_version(served).version == 2
    assert [line.action for line in read_ledger(served)] == ["adopt", "promote", "rollback"]
    assert verify_ledger(served).faults == []


def test_a_registry_with_many_versions_is_read_page_by_page(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.registry.api._PAGE", 2)
    assert set(open_registry(served).look().versions) == {1, 2, 3}


def test_a_shells_proxy_does_not_stand_before_this_machine(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "intranet")
    assert resolve_version(served).version == 2  # by a request, and by MLflow's client, which fetches the graph


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://localhost/x", True),
        ("http://[::1]:5000", True),
        ("http://mlflow:5000", False),
        ("http://127.0.0.1.example.com", False),
        ("sqlite:////home/me/mlflow.db", False),
    ],
)
def test_loopback(url: str, loopback: bool) -> None:
    assert is_loopback(url) == loopback


class Stranger(BaseHTTPRequestHandler):
    """A login page for the first model, a list for any other."""

    def do_GET(self) -> None:
        body = b"[1]" if "name=list" in self.path else b"<html>log in</html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "said"),
    [("page", r"must answer in JSON\. Received: text/html"), ("list", r"a JSON object\. Received: list")],
)
def test_an_answer_that_is_no_registrys_means_that_it_is_down(
    settings: Settings, stranger: str, name: str, said: str
) -> None:
    asked = settings.model_copy(update={"mlflow_tracking_uri": stranger, "model_name": name})
    with pytest.raises(UnavailableError, match=said):
        resolve_version(asked)
