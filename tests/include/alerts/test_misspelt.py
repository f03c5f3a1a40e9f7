"""A setting of telling that nobody can read silences nothing."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from include.alerts.deliver import deliver
from include.alerts.misspelt import check_telling, leave_out_misspelt
from include.alerts.report import report_incident
from include.errors import InputError
from include.settings import Settings
from tests.fakes import FakeSlack
from tests.include.alerts.scenes import make_incident, with_bot, with_webhook


@pytest.mark.parametrize(
    "wrong",
    [
        {"alerts_quiet": "22-07"},
        {"alerts_timezone": "Berlin", "alerts_maintenance": "whenever"},
        {"slack_mentions": "critical=@ada"},
        {"slack_webhooks": SecretStr("urgent=https://hooks.slack.com/services/secret")},
    ],
)
def test_an_incident_is_told_whatever_is_misspelt(
    settings: Settings, wrong: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack, **wrong)
        report_incident(told, make_incident(), is_complete=True)
        ends = time.monotonic() + 10
        while not slack.posts and time.monotonic() < ends:
            deliver(told, deadline_s=2)
        assert len(slack.posts) == 1
    for name in wrong:
        assert f"CLOSECAST_{name.upper()}" in caplog.text
    assert "services/secret" not in caplog.text


def test_what_can_be_read_holds_beside_what_cannot(settings: Settings) -> None:
    given = settings.model_copy(update={"alerts_quiet": "22:00-07:00", "slack_mentions": "critical=@ada"})
    kept = leave_out_misspelt(given)
    assert (kept.alerts_quiet, kept.slack_mentions) == ("22:00-07:00", "critical=here")
    assert leave_out_misspelt(settings) is settings


def test_a_bot_whose_channels_are_misspelt_tells_its_one_channel(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_bot(settings, slack, slack_channels="oncall")
        report_incident(told, make_incident(), is_complete=True)
        deliver(told, deadline_s=5)
        assert slack.posts


@pytest.mark.parametrize(
    "wrong",
    [
        {"alerts_quiet": "22-07"},
        {"alerts_on": "forecasts_publishd"},
        {"slack_webhooks": SecretStr("urgent=https://hooks.slack.com/services/secret")},
        {"slack_bot_token": SecretStr("xoxb-secret"), "slack_channels": "C0ONCALL"},
    ],
)
def test_a_start_is_refused_by_the_name_of_what_is_misspelt(settings: Settings, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"CLOSECAST_{list(wrong)[-1].upper()}") as caught:
        check_telling(settings.model_copy(update=wrong))
    assert "secret" not in str(caught.value)
