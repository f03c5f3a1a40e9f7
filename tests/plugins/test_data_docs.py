"""The Data Docs in Airflow's web server: to no one without a login, and nothing but pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI

from include.settings import Settings, load_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client wants httpx's successor, which nothing here needs
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.filterwarnings("default")  # Airflow itself runs in this process and warns

PAGE = "session_2018-06-10_20200101T000000000000Z_blocked.html"


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """The plugin's app as Airflow mounts it, with a page, an index, and a secret beside them."""
    from plugins.data_docs import DataDocsPlugin

    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    settings.data_docs.mkdir(parents=True)
    (settings.data_docs / PAGE).write_text("<h1>a page</h1>")
    (settings.data_docs / "index.html").write_text("<h1>the index</h1>")
    (settings.data_docs / "secret.txt").write_text("secret")
    (settings.home / "index.html").write_text("secret")
    root = FastAPI()
    (mounted,) = DataDocsPlugin.fastapi_apps
    root.mount(mounted["url_prefix"], mounted["app"])
    yield root
    load_settings.cache_clear()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client that is logged in, as far as the app can tell."""
    from airflow.api_fastapi.core_api.security import get_user

    from plugins.data_docs import DataDocsPlugin

    inner = DataDocsPlugin.fastapi_apps[0]["app"]
    inner.dependency_overrides[get_user] = lambda: "someone"
    yield TestClient(app)
    inner.dependency_overrides.clear()


@pytest.mark.parametrize("path", ["/", "/index.html", f"/{PAGE}", "/secret.txt", "/docs", "/openapi.json"])
def test_no_one_sees_anything_without_a_login(app: FastAPI, path: str) -> None:
    answer = TestClient(app).get(f"/data-docs{path}", follow_redirects=False)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/index.html", f"/{PAGE}", "/session/2018-06-10"])
def test_a_browser_without_a_login_is_led_to_it_and_back(app: FastAPI, path: str) -> None:
    browser = TestClient(app, base_url="http://127.0.0.1:8080", headers={"Accept": "text/html,*/*;q=0.8"})
    answer = browser.get(f"/data-docs{path}", follow_redirects=False)
    asked = urlsplit(answer.headers["location"])
    assert (answer.status_code, asked.netloc, asked.path) == (307, "", "/api/v2/auth/login")
    assert parse_qs(asked.query) == {"next": [f"http://127.0.0.1:8080/data-docs{path}"]}
    assert "page" not in answer.text


def test_a_token_that_is_none_is_refused(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW__API_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    )
    from airflow.api_fastapi.app import init_auth_manager

    init_auth_manager()
    answer = TestClient(app).get("/data-docs/index.html", headers={"Authorization": "Bearer forged"})
    assert answer.status_code == 403


def test_pages_are_given_and_may_run_nothing(client: TestClient) -> None:
    assert client.get("/data-docs/").text == "<h1>the index</h1>"
    answer = client.get(f"/data-docs/{PAGE}")
    assert (answer.status_code, answer.text) == (200, "<h1>a page</h1>")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["content-security-policy"].endswith("; sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "secret.txt",
        "../index.html",
        "..%2Findex.html",
        "%2e%2e%2findex.html",
        "..%5Cindex.html",
        "%2Fetc%2Fpasswd",
        f"{PAGE}%00",
        f"{PAGE}%0a",
        "session_2018-06-11_20200101T000000000000Z_passed.html",
    ],
)
def test_nothing_else_is_given(client: TestClient, path: str) -> None:
    answer = client.get(f"/data-docs/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_the_mount_is_where_links_lead() -> None:
    from include.quality.docs import MOUNT as LINKED
    from plugins.data_docs import MOUNT, DataDocsPlugin

    assert MOUNT == LINKED == DataDocsPlugin.fastapi_apps[0]["url_prefix"]
    assert DataDocsPlugin.external_views[0]["href"].startswith(MOUNT)


def test_a_page_lies_where_the_settings_say(settings: Settings) -> None:
    assert settings.data_docs == Path(settings.home) / "data_docs"


def test_the_link_of_a_task_leads_to_the_newest_page_of_its_session(client: TestClient, settings: Settings) -> None:
    from types import SimpleNamespace

    from plugins.data_docs_link import DataDocsLink

    newer = PAGE.replace("20200101T", "20200102T").replace("blocked", "passed")
    (settings.data_docs / newer).write_text("<h1>a newer page</h1>")
    link = DataDocsLink().get_link(SimpleNamespace(op_args=["2018-06-10"]), ti_key=None)
    assert client.get(link).text == "<h1>a newer page</h1>"
    assert client.get("/data-docs/session/2018-06-11").status_code == 404
