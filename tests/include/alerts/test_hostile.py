"""What must not stop the outbox, or turn it round: odd answers, odd clocks, odd rows, misspelt settings."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from include.alerts.deliver import deliver
from include.alerts.incidents import Links, Recovery
from include.alerts.outbox import PAGE
from include.alerts.record import record
from include.alerts.report import report_incident
from include.alerts.store import open_store
from include.alerts.trouble import LONGEST_FAULT_WAIT_S
from include.settings import Settings
from tests.fakes import Answer, FakeSlack
from tests.include.alerts.scenes import NOON, Clock, header_of, make_incident, with_bot, with_webhook
from tests.include.alerts.test_deliver import KEY, drain, keep, lines

OUTAGE_OF_A_PROXY = Answer(502, "<html>", {"Content-Type": "text/html; charset=nonsense"})
PAGE_THAT_ASKS_TO_LOG_IN = Answer(200, "<html>Welcome</html>")


@pytest.mark.parametrize(
    "answer",
    [
        OUTAGE_OF_A_PROXY,
        PAGE_THAT_ASKS_TO_LOG_IN,
        Answer(429, "ratelimited", {"Retry-After": "inf"}),
        Answer(429, "ratelimited", {"Retry-After": "99999999"}),
    ],
)
def test_no_answer_of_a_webhook_loses_a_message_or_holds_it_for_ever(settings: Settings, answer: Answer) -> None:
    clock = Clock()
    with FakeSlack(answer) as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        assert drain(told, clock).waiting == 1
        clock.now += LONGEST_FAULT_WAIT_S
        assert drain(told, clock).told == 1


@pytest.mark.parametrize("answer", [OUTAGE_OF_A_PROXY, PAGE_THAT_ASKS_TO_LOG_IN, Answer(200, "[]")])
def test_no_answer_to_a_bot_loses_a_message(settings: Settings, answer: Answer) -> None:
    clock = Clock()
    with FakeSlack(answer) as slack:
        told = with_bot(settings, slack)
        keep(told, make_incident())
        assert drain(told, clock).waiting == 1
        clock.now += LONGEST_FAULT_WAIT_S
        assert drain(told, clock).told == 1


def test_who_asks_to_wait_for_nothing_is_not_asked_again_at_once(settings: Settings) -> None:
    with FakeSlack() as slack:
        slack.otherwise = Answer(429, "ratelimited", {"Retry-After": "0"})
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        drain(told, Clock())
        assert len(slack.calls) == 1


def test_a_wait_from_a_clock_that_was_wrong_ends(settings: Settings) -> None:
    clock = Clock(NOON + 365 * 86_400)
    with FakeSlack(Answer(500)) as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident(), clock.now)
        drain(told, clock)
        clock.now = NOON
        assert drain(told, clock).told == 1


def test_a_link_that_is_too_long_for_slack_is_left_out(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident(links=Links(run=f"http://airflow/{'x' * 4000}", log="http://airflow/log")))
        drain(told, Clock())
    said = str(slack.taken[0]["blocks"])
    assert "|Log>" in said
    assert "|Run>" not in said


def test_a_line_without_its_blocks_links_nowhere_and_still_calls(settings: Settings) -> None:
    with FakeSlack(Answer(400, "invalid_blocks")) as slack:
        told = with_webhook(settings, slack, slack_mentions="error=U024BE7LH")
        keep(told, make_incident(cause="see https://evil.example, mailto:ada@evil.example or bob@evil.example"))
        drain(told, Clock())
    line = lines(slack)[0]
    assert line.startswith("<@U024BE7LH> ")
    assert not re.search(r"://|mailto:\w|\w@\w", line)


def test_a_kind_that_this_version_does_not_know_is_told_and_stops_no_other(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        with open_store(told) as connection:
            connection.execute(sa.text("UPDATE incidents SET kind = 'of_tomorrow', key = 'of_tomorrow/x'"))
        keep(told, make_incident("run_failed/other"))
        drain(told, Clock())
    assert len(slack.taken) == 2


def test_a_misspelt_switch_loses_nothing(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack, alerts_off="drfit")
        report_incident(told, make_incident())
    assert len(slack.taken) == 1


@pytest.mark.parametrize("said", ["[]", "null", '{"report": []}', '{"report": "incident"'])
def test_a_file_that_is_no_report_stops_no_message(settings: Settings, said: str) -> None:
    spool = settings.alerts / "spool"
    spool.mkdir(parents=True)
    (spool / "1-a.json").write_text(said)
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        assert drain(told, Clock()).told == 1
    assert [each.name for each in spool.iterdir()] == ["1-a.unreadable"]


def test_an_incident_that_heals_while_it_waits_for_its_other_parts_is_told_first(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident(parts=("score",)))
        keep(told, Recovery(KEY), NOON + 1)
        drain(told, Clock(NOON + 2))
    assert ["Recovered" in header_of(body) for body in slack.taken] == [False, True]


def test_nothing_more_is_said_of_what_is_over(settings: Settings) -> None:
    clock = Clock(NOON + 60)
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident(parts=("score",)))
        drain(told, clock)
        keep(told, make_incident(parts=("publish",)), NOON + 61)
        keep(told, Recovery(KEY), NOON + 62)
        clock.now = NOON + 3600
        drain(told, clock)
    assert len(slack.taken) == 2
    assert "Recovered" in lines(slack)[1]


def test_what_is_held_back_hides_nothing_that_is_critical(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack, alerts_quiet="00:00-23:59")
        with open_store(told) as connection:
            for number in range(PAGE + 1):
                record(connection, told, make_incident(f"drift/{number}"), NOON)
        keep(told, make_incident("forecasts_missing/2026-10-16"))
        deliver(told, deadline_s=20.0, clock=Clock())
    assert len(slack.taken) == 1
