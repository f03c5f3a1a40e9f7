"""A message really sent, to a Slack on loopback that is well, busy, broken, silent or gone."""

from __future__ import annotations

import logging
import time

import pytest

from include.alerts import send
from include.alerts.messages import Message
from include.alerts.send import LONGEST_WAIT_S, MOST_RETRIES, send_message
from tests.fakes import SECRET_PATH, Answer, FakeSlack, refusing_url

MESSAGE = Message("market_close.score failed", [{"type": "divider"}])
BUSY = Answer(429, "ratelimited", {"Retry-After": "0"})
BROKEN = Answer(500, "internal_error")


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Hear everything, as a task's log at its most talkative does."""
    caplog.set_level(logging.DEBUG)
    return caplog


def said_without_secret(heard: pytest.LogCaptureFixture) -> bool:
    assert "do-not-print-me" not in heard.text
    return MESSAGE.text in heard.text


def test_what_is_sent_is_the_message(heard: pytest.LogCaptureFixture) -> None:
    with FakeSlack() as slack:
        assert send_message(MESSAGE, slack.url)
    assert slack.posts == [{"text": MESSAGE.text, "blocks": MESSAGE.blocks}]
    assert not said_without_secret(heard)


@pytest.mark.parametrize("first", [BUSY, BROKEN], ids=["429", "500"])
def test_a_busy_or_broken_slack_is_asked_again(first: Answer, heard: pytest.LogCaptureFixture) -> None:
    with FakeSlack(first) as slack:
        assert send_message(MESSAGE, slack.url)
    assert len(slack.posts) == 2
    assert not said_without_secret(heard)


def test_a_slack_that_stays_broken_is_given_up_and_the_log_has_the_message(heard: pytest.LogCaptureFixture) -> None:
    with FakeSlack(*[BROKEN] * 9) as slack:
        assert not send_message(MESSAGE, slack.url)
    assert len(slack.posts) == 1 + MOST_RETRIES
    assert said_without_secret(heard)


@pytest.mark.parametrize("wait", [str(LONGEST_WAIT_S + 1), "3600", "Wed, 21 Oct 2037 07:28:00 GMT"])
def test_a_long_retry_after_does_not_hold_the_failed_task(wait: str, heard: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    with FakeSlack(Answer(429, "ratelimited", {"retry-after": wait})) as slack:
        assert not send_message(MESSAGE, slack.url)
    assert time.monotonic() - started < 2
    assert len(slack.posts) == 1
    assert said_without_secret(heard)


def test_a_wrong_webhook_is_not_asked_again(heard: pytest.LogCaptureFixture) -> None:
    with FakeSlack(Answer(404, "no_service")) as slack:
        assert not send_message(MESSAGE, slack.url)
    assert len(slack.posts) == 1
    assert said_without_secret(heard)
    assert "404 no_service" in heard.text


def test_a_silent_slack_is_left_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(send, "TIMEOUT_S", 0.3)
    started = time.monotonic()
    with FakeSlack(Answer(hang=True)) as slack:
        assert not send_message(MESSAGE, slack.url)
        assert 0.3 <= time.monotonic() - started < 3
    assert said_without_secret(heard)


@pytest.mark.parametrize("url", [refusing_url(), f"nonsense:{SECRET_PATH}"], ids=["refused", "no address"])
def test_a_slack_that_cannot_be_reached_raises_nothing(url: str, heard: pytest.LogCaptureFixture) -> None:
    assert not send_message(MESSAGE, url)
    assert said_without_secret(heard)


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_webhook_the_log_has_the_message(url: str | None, heard: pytest.LogCaptureFixture) -> None:
    assert not send_message(MESSAGE, url)
    assert said_without_secret(heard)
