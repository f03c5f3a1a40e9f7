"""The page of incidents: what is open, why nobody was told, and nothing that a browser would obey."""

from __future__ import annotations

import re
import time

import pytest
from pydantic import SecretStr

from include.alerts.deliver import deliver
from include.alerts.incidents import Links
from include.alerts.muting import Mute, set_mute
from include.alerts.report import report_incident, report_recovery
from include.alerts.store import open_store
from include.errors import UnavailableError
from include.monitoring.incidents_page import draw_incidents
from include.settings import Settings
from tests.fakes import Answer, FakeSlack
from tests.include.alerts.scenes import make_incident, with_webhook

HOSTILE = '<script>alert(1)</script>\x1b[2J\u202e"><img src=x>'


def read(settings: Settings) -> str:
    """The page without its marks, each run of blanks as one."""
    page = draw_incidents(settings, time.time()).partition("</style>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_a_home_where_nothing_was_reported_says_so(settings: Settings) -> None:
    said = read(settings)
    assert "Nothing is open Slack is not set: incidents are kept, and nobody is told" in said
    assert "Nothing that is over was reported." in said


def test_what_is_open_has_its_cause_its_links_and_why_nobody_was_told(settings: Settings) -> None:
    links = Links(run="http://airflow:8080/dags/market_close/runs/x", log="javascript:alert(1)")
    report_incident(settings, make_incident(parts=("ingest", "score"), links=links))
    told = settings.model_copy(update={"docs_url": "https://docs.example/closecast/"})
    assert "1 open" in read(told)
    assert "market_close failed ValueError: no price ingest; score run_failed/market_close: open, untold" in read(told)
    page = draw_incidents(told, time.time())
    assert re.findall(r'href="([^"]+)"', page) == [links.run, "https://docs.example/closecast/runbooks/run_failed.md"]


def test_what_is_over_says_how_long_it_took(settings: Settings) -> None:
    report_incident(settings, make_incident())
    report_recovery(settings, "run_failed/market_close", note="The run of session 2018-06-05 succeeded.")
    said = read(settings)
    assert "Nothing is open" in said
    assert "The run of session 2018-06-05 succeeded." in said.partition("Over, and notices")[2]


def test_trouble_with_slack_messages_that_wait_and_mutes_are_above_all(settings: Settings) -> None:
    with FakeSlack() as slack:
        slack.otherwise = Answer(404, "no_service")
        told = with_webhook(settings, slack)
        report_incident(told, make_incident(), is_complete=True)
        deliver(told, deadline_s=2)
    with open_store(told) as connection:
        set_mute(connection, Mute("drift", time.time() + 600, "ada", "a new exchange"))
    said = read(told)
    assert "Slack takes no message by webhook: 404 no_service" in said
    assert "1 message waits" in said
    assert "drift is muted until" in said
    assert "by ada: a new exchange" in said


def test_a_setting_that_cannot_be_read_is_named(settings: Settings) -> None:
    assert "CLOSECAST_SLACK_WEBHOOKS" in read(settings.model_copy(update={"slack_webhooks": SecretStr("nonsense")}))


def test_text_from_data_is_text(settings: Settings) -> None:
    secret = "postgresql://airflow:pa55@db/airflow"
    report_incident(settings, make_incident(summary=HOSTILE, cause=f"{secret} {HOSTILE}", parts=(HOSTILE,)))
    page = draw_incidents(settings, time.time())
    assert not set("\x1b\u202e") & set(page)
    assert "<script" not in page
    assert "<img" not in page
    assert "pa55" not in page


def test_a_database_that_does_not_answer_is_an_error_of_its_own(settings: Settings) -> None:
    gone = settings.model_copy(update={"alerts_url": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/none")})
    with pytest.raises(UnavailableError):
        draw_incidents(gone, time.time())
