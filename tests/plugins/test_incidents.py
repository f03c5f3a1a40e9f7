"""The page of incidents in Airflow's web server: to no one without a login."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from include.alerts.report import report_incident
from include.settings import Settings, load_settings
from tests.include.alerts.scenes import make_incident

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client wants httpx's successor, which nothing here needs
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.filterwarnings("default")  # Airflow itself runs in this process and warns

PAGE = "/incidents/"


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """The plugin's app as Airflow mounts it."""
    from plugins.incidents import IncidentsPlugin

    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    root = FastAPI()
    (mounted,) = IncidentsPlugin.fastapi_apps
    root.mount(mounted["url_prefix"], mounted["app"])
    yield root
    mounted["app"].dependency_overrides.clear()
    load_settings.cache_clear()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    """A client that is logged in, as far as the app can tell."""
    from airflow.api_fastapi.core_api.security import get_user

    from plugins.incidents import IncidentsPlugin

    IncidentsPlugin.fastapi_apps[0]["app"].dependency_overrides[get_user] = lambda: "someone"
    return TestClient(app)


def test_no_one_sees_it_without_a_login(app: FastAPI) -> None:
    assert TestClient(app).get(PAGE, follow_redirects=False).status_code == 401


def test_it_shows_what_is_open_and_may_run_nothing(client: TestClient, settings: Settings) -> None:
    report_incident(settings, make_incident())
    answer = client.get(PAGE)
    assert "run_failed/market_close" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_database_that_does_not_answer_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_ALERTS_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    load_settings.cache_clear()
    assert client.get(PAGE).status_code == 503
