"""The sessions' pages in Airflow's web server: to no one without a login, and nothing but pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI

from include.settings import Settings, load_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client wants httpx's successor, which nothing here needs
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.filterwarnings("default")  # Airflow itself runs in this process and warns

MOUNT = "/session-reports"


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """The plugin's app as Airflow mounts it, with two pages and a secret beside them."""
    from plugins.session_reports import SessionReportsPlugin

    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    settings.reports.mkdir(parents=True)
    for name in ("2018-06-09", "2018-06-10"):
        (settings.reports / f"{name}.html").write_text(f"<h1>{name}</h1>")
    (settings.reports / "secret.html").write_text("secret")
    root = FastAPI()
    (mounted,) = SessionReportsPlugin.fastapi_apps
    root.mount(mounted["url_prefix"], mounted["app"])
    yield root
    load_settings.cache_clear()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client that is logged in, as far as the app can tell."""
    from airflow.api_fastapi.core_api.security import get_user

    from plugins.session_reports import SessionReportsPlugin

    inner = SessionReportsPlugin.fastapi_apps[0]["app"]
    inner.dependency_overrides[get_user] = lambda: "someone"
    yield TestClient(app)
    inner.dependency_overrides.clear()


@pytest.mark.parametrize("path", ["/newest", "/2018-06-10", "/secret.html", "/docs", "/openapi.json"])
def test_no_one_sees_anything_without_a_login(app: FastAPI, path: str) -> None:
    assert TestClient(app).get(f"{MOUNT}{path}", follow_redirects=False).status_code == 401


def test_a_browser_without_a_login_is_led_to_it_and_back(app: FastAPI) -> None:
    browser = TestClient(app, base_url="http://127.0.0.1:8080", headers={"Accept": "text/html,*/*;q=0.8"})
    answer = browser.get(f"{MOUNT}/2018-06-10", follow_redirects=False)
    asked = urlsplit(answer.headers["location"])
    assert (answer.status_code, asked.netloc, asked.path) == (307, "", "/api/v2/auth/login")
    assert parse_qs(asked.query) == {"next": [f"http://127.0.0.1:8080{MOUNT}/2018-06-10"]}


def test_a_page_comes_with_a_policy_that_lets_nothing_run(client: TestClient) -> None:
    answer = client.get(f"{MOUNT}/2018-06-09")
    assert "<h1>2018-06-09</h1>" in answer.text
    assert answer.headers["Content-Security-Policy"].endswith("; sandbox")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_newest_is_found(client: TestClient) -> None:
    assert "<h1>2018-06-10</h1>" in client.get(f"{MOUNT}/newest").text


@pytest.mark.parametrize("path", ["/2018-06-11", "/secret.html", "/..%2Fsecret", "/secret"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(f"{MOUNT}{path}")
    assert answer.status_code in (404, 422)
    assert "secret" not in answer.text or answer.status_code == 422
