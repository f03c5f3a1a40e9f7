"""The outbox drained into a Slack that is well, busy, broken, silent, gone, or set up wrongly."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from include.alerts.deliver import UNASKED_S, Delivered, deliver
from include.alerts.episodes import find_newest, list_open
from include.alerts.incidents import Notice, Recovery, Report, Severity
from include.alerts.lease import LEASE_S
from include.alerts.messages import DIGEST_LINES
from include.alerts.muting import Mute, end_mute, set_mute
from include.alerts.record import SETTLES_S, record
from include.alerts.report import report_incident
from include.alerts.store import OUTBOX, open_store
from include.alerts.trouble import LONGEST_FAULT_WAIT_S, LONGEST_WAIT_S, Trouble, list_trouble
from include.settings import Settings
from tests.fakes import CHANNEL, TOKEN, Answer, FakeSlack, refusing_url
from tests.include.alerts.scenes import NOON, Clock, header_of, make_incident, texts_of, with_bot, with_webhook

KEY = "run_failed/market_close"


def keep(settings: Settings, report: Report, now: float = NOON) -> str:
    with open_store(settings, report.key) as connection:
        return record(connection, settings, report, now)


def drain(settings: Settings, clock: Clock, *, deadline_s: float = 5.0) -> Delivered:
    return deliver(settings, deadline_s=deadline_s, clock=clock)


def read_outbox(settings: Settings) -> list[tuple[str, str, int, str | None]]:
    with open_store(settings) as connection:
        rows = connection.execute(OUTBOX.select().order_by(OUTBOX.c.seq)).mappings()
        return [(row["what"], row["state"], row["attempts"], row["last_error"]) for row in rows]


def read_trouble(settings: Settings) -> list[Trouble]:
    with open_store(settings) as connection:
        return list_trouble(connection)


def lines(slack: FakeSlack) -> list[str]:
    """The notification lines of what Slack took."""
    return [body["text"] for body in slack.taken]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_incidents_and_their_ends_are_told_in_order_with_their_ids(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        one = keep(told, make_incident())
        two = keep(told, make_incident("drift/forecasts"))
        keep(told, Recovery(KEY), NOON + 90)
        clock.now += 91
        assert drain(told, clock) == Delivered(messages=3, told=3)
        assert drain(told, clock) == Delivered()
    assert [line.partition("[")[2] for line in lines(slack)] == [f"{one}]", f"{two}]", f"{one}]"]
    assert "after 1 min 30 s" in lines(slack)[2]


def test_an_incident_waits_for_the_others_of_its_run(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident(parts=("score",)))
        assert drain(told, clock) == Delivered(waiting=1)
        keep(told, make_incident(parts=("settle",)), NOON + 1)
        clock.now += settings.alerts_group_s
        assert drain(told, clock).messages == 1
    assert "Failed tasks (2):\\n• score\\n• settle" in str(slack.posts[0]["blocks"])


@pytest.mark.parametrize(
    "first",
    [
        Answer(429, "ratelimited", {"Retry-After": "30"}),
        Answer(500, "internal_error"),
        Answer(503, "<html>no</html>"),
        Answer(404, "no_service"),
        Answer(403, "invalid_token"),
    ],
    ids=lambda answer: str(answer.status),
)
def test_what_slack_does_not_take_waits_and_comes_in_order(settings: Settings, clock: Clock, first: Answer) -> None:
    with FakeSlack(first) as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        keep(told, make_incident("drift/forecasts"))
        found = drain(told, clock)
        assert (found.messages, found.waiting) == (0, 2)
        assert str(first.status) in str(found.trouble)
        assert drain(told, clock).messages == 0  # it is left alone for a while
        assert len(slack.calls) == 1
        assert read_outbox(told)[0][2:] == (1, str(found.trouble).partition(": ")[2])
        clock.now += 121
        assert drain(told, clock).messages == 2
        assert [line.partition(" [")[0] for line in lines(slack)] == [
            "🟠 market_close failed: ValueError: no price",
            "🟡 forecasts failed: ValueError: no price",
        ]
        with open_store(told) as connection:
            assert list_trouble(connection) == []


def test_retry_after_is_respected_to_the_second(settings: Settings, clock: Clock) -> None:
    with FakeSlack(Answer(429, "ratelimited", {"Retry-After": "30"})) as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        drain(told, clock)
        clock.now += 29.9
        assert drain(told, clock).messages == 0
        clock.now += 0.2
        assert drain(told, clock).messages == 1
    assert len(slack.calls) == 2


def test_the_waits_grow_and_stay_below_five_minutes(settings: Settings, clock: Clock) -> None:
    told = settings.model_copy(update={"slack_webhook_url": SecretStr(refusing_url())})
    keep(told, make_incident())
    waits = []
    for _ in range(14):
        drain(told, clock)
        with open_store(told) as connection:
            (trouble,) = list_trouble(connection)
        waits.append(trouble.blocked_until - clock.now)
        clock.now = trouble.blocked_until
    assert all(2 ** min(number, 8) / 2 <= wait <= LONGEST_WAIT_S for number, wait in enumerate(waits, 1))
    assert waits[-1] >= LONGEST_WAIT_S / 2
    assert trouble.fault is None


def test_slack_down_for_an_hour_then_everything_in_order_rolled_up(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        slack.otherwise = Answer(500)
        told = with_webhook(settings, slack)
        ids = []
        for number in range(70):
            clock.now += 60
            ids.append(keep(told, make_incident(f"run_failed/dag{number:02d}"), clock.now))
            drain(told, clock)
        slack.otherwise = Answer()
        clock.now += LONGEST_WAIT_S
        before = len(slack.calls)
        assert drain(told, clock) == Delivered(messages=3, told=70)
        digests = slack.posts[before:]
    texts = [text["text"] for post in digests for text in texts_of(post)]
    assert re.findall(r"\[(\w{10})\]", "\n".join(texts)) == ids
    assert header_of(digests[0]).startswith(f"{DIGEST_LINES} messages from 2026-10-16 12:01 UTC")


def test_a_wrong_webhook_is_a_fault_that_is_kept_and_tried_at_once_when_it_is_changed(
    settings: Settings, clock: Clock
) -> None:
    with FakeSlack(Answer(404, "no_service")) as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        drain(told, clock)
        with open_store(told) as connection:
            (trouble,) = list_trouble(connection)
            fault = find_newest(connection, "slack_refused/webhook")
        assert (trouble.fault, trouble.failures) == ("404 no_service", 1)
        assert trouble.blocked_until - clock.now >= 60
        assert fault is not None
        assert fault.cause == "404 no_service"
        mended = told.model_copy(update={"slack_webhook_url": SecretStr(slack.url + "-new")})
        assert drain(mended, clock).messages == 1
        with open_store(told) as connection:
            assert list_trouble(connection) == []
            assert [each.kind for each in list_open(connection)] == ["run_failed"]


@pytest.mark.parametrize(("is_resident", "waits_s"), [(True, 0.0), (False, LONGEST_FAULT_WAIT_S + UNASKED_S)])
def test_a_fault_is_over_once_settings_name_another_place(
    settings: Settings, clock: Clock, is_resident: bool, waits_s: float
) -> None:
    with FakeSlack(Answer(404, "no_service")) as slack:
        keep(settings, make_incident())
        drain(with_webhook(settings, slack), clock)
        bot = with_bot(settings, slack)
        assert drain(bot, clock).messages == 1
        assert [each.name for each in read_trouble(bot)] == ["webhook"]  # it may be this process that lacks a setting
        clock.now += waits_s
        deliver(bot, deadline_s=5.0, is_resident=is_resident, clock=clock)
        assert read_trouble(bot) == []
        with open_store(bot) as connection:
            over = find_newest(connection, "slack_refused/webhook")
            assert over is not None
            assert (over.status, over.note) == ("recovered", "No setting names this place any more.")
        assert len(slack.taken) == 1


def test_a_message_that_slack_cannot_read_goes_as_its_line_and_stops_nothing(settings: Settings, clock: Clock) -> None:
    bad = Answer(400, "invalid_blocks")
    with FakeSlack(bad, Answer(), bad, bad) as slack:
        told = with_webhook(settings, slack)
        for key in (KEY, "drift/forecasts", "skill_breach/forecasts"):
            keep(told, make_incident(key))
        assert drain(told, clock).messages == 2
        assert slack.posts[1]["blocks"] == []
    assert [state for _, state, _, _ in read_outbox(told)] == ["sent", "refused", "sent"]


def test_a_silent_slack_is_left_in_time(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        slack.otherwise = Answer(hang=True)
        told = with_webhook(settings, slack)
        keep(told, make_incident())
        started = time.monotonic()
        assert drain(told, clock, deadline_s=1.0).waiting == 1
        assert 0.9 <= time.monotonic() - started < 2.0


@pytest.mark.parametrize("url", ["nonsense:/services/T0/B0/do-not-print-me", "http://[/services/T0/B0/do-not-print-me"])
def test_an_address_that_is_none_is_a_fault(settings: Settings, clock: Clock, url: str) -> None:
    told = settings.model_copy(update={"slack_webhook_url": SecretStr(url)})
    keep(told, make_incident())
    drain(told, clock)
    with open_store(told) as connection:
        (trouble,) = list_trouble(connection)
    assert trouble.fault == "the address is none"


def test_no_secret_is_logged_or_kept(settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeSlack(Answer(500), Answer(404, "no_service"), Answer(429)) as slack:
        for told in (with_webhook(settings, slack), with_bot(settings, slack)):
            keep(told, make_incident())
            for _ in range(3):
                drain(told, clock)
                clock.now += 4000
    kept = b"".join(path.read_bytes() for path in settings.alerts.iterdir() if path.name != "reserve")
    assert b"do-not-print-me" not in kept
    assert "do-not-print-me" not in caplog.text


def test_quiet_hours_hold_back_all_but_the_critical_and_roll_up_afterwards(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack, alerts_quiet="11:00-13:00")
        keep(told, make_incident())
        keep(told, make_incident("drift/forecasts"))
        keep(told, make_incident("forecasts_old/home", severity=Severity.CRITICAL))
        keep(told, Recovery("drift/forecasts"), NOON + 60)
        clock.now += 120
        assert drain(told, clock).messages == 1
        clock.now = NOON + 3600
        assert drain(told, clock) == Delivered(messages=1, told=3)
    assert "home failed" in lines(slack)[0]
    assert header_of(slack.posts[1]) == "3 messages from 2026-10-16 12:00 UTC to 2026-10-16 12:01 UTC"


def test_what_is_muted_waits_and_a_cause_speaks_for_its_consequences(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident("database_down/airflow"))
        keep(told, make_incident())
        keep(told, make_incident("drift/forecasts"))
        with open_store(told) as connection:
            set_mute(connection, Mute("drift", NOON + 3600, "ada", "known"))
        assert drain(told, clock).messages == 1
        keep(told, Recovery("database_down/airflow"), NOON + 10)
        clock.now += 11
        assert drain(told, clock).messages == 1  # its end; what it caused has time to heal
        clock.now += SETTLES_S
        assert drain(told, clock).messages == 1
        with open_store(told) as connection:
            assert end_mute(connection, "drift")
        assert drain(told, clock).messages == 1
    said = [line.partition(":")[0] for line in lines(slack)]
    assert said == ["<!here> 🔴 airflow failed", "✅ Recovered", "🟠 market_close failed", "🟡 forecasts failed"]


def test_severity_decides_where_and_whom(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack, FakeSlack() as oncall:
        told = with_webhook(settings, slack, slack_webhooks=SecretStr(f"critical={oncall.url}"))
        told = told.model_copy(update={"slack_mentions": "critical=channel, warning=U0123"})
        keep(told, make_incident(severity=Severity.CRITICAL))
        keep(told, make_incident("drift/forecasts"))
        oncall.otherwise = Answer(404, "no_service")  # a place that is wrong holds no other back
        drain(told, clock)
        assert [line[:8] for line in lines(slack)] == ["<@U0123>"]
        oncall.otherwise = Answer()
        clock.now += 120
        drain(told, clock)
        assert [line[:10] for line in lines(oncall)] == ["<!channel>"]


def test_a_bot_edits_its_message_and_tells_the_end_below_it(settings: Settings, clock: Clock) -> None:
    with FakeSlack() as slack:
        told = with_bot(settings, slack, slack_channels="info=C0FEED")
        name = keep(told, make_incident(parts=("score",)))
        clock.now += 3
        drain(told, clock)
        keep(told, make_incident(parts=("settle",)), clock.now)
        clock.now += 5
        drain(told, clock)
        keep(told, Recovery(KEY), clock.now)
        keep(told, Notice("test/1", "test", "words"), clock.now)
        drain(told, clock)
    opened, edited, over, below, notice = slack.calls
    assert edited.body["text"] == opened.body["text"]  # and not "More of it" of a message that stands alone
    assert [call.method for call in slack.calls] == [
        "chat.postMessage",
        "chat.update",
        "chat.update",
        "chat.postMessage",
        "chat.postMessage",
    ]
    assert opened.body["channel"] == CHANNEL
    assert opened.body["metadata"]["event_payload"] == {"incident": name}
    assert edited.body["ts"] == over.body["ts"] == below.body["thread_ts"] == "1792000000.000001"
    assert "settle" in str(edited.body["blocks"])
    assert header_of(over.body).startswith("✅ Recovered")
    assert below.body["reply_broadcast"] is True
    assert notice.body["channel"] == "C0FEED"


def test_a_message_that_was_deleted_is_sent_anew(settings: Settings, clock: Clock) -> None:
    with FakeSlack(Answer(), Answer(body='{"ok": false, "error": "message_not_found"}')) as slack:
        told = with_bot(settings, slack)
        keep(told, make_incident())
        drain(told, clock)
        keep(told, Recovery(KEY))
        assert drain(told, clock).messages == 1
    assert [call.method for call in slack.calls] == ["chat.postMessage", "chat.update", "chat.postMessage"]


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "channel_not_found", "not_in_channel"])
def test_a_bot_that_is_set_up_wrongly_is_a_fault(settings: Settings, clock: Clock, error: str) -> None:
    with FakeSlack(Answer(body=f'{{"ok": false, "error": "{error}"}}')) as slack:
        told = with_bot(settings, slack)
        keep(told, make_incident())
        drain(told, clock)
        with open_store(told) as connection:
            (trouble,) = list_trouble(connection)
    assert trouble.fault == f"200 {error}"
    assert TOKEN not in str(trouble)


def test_without_slack_what_waits_is_told_in_one_once_there_is_one(settings: Settings, clock: Clock) -> None:
    for number in range(5):
        keep(settings, make_incident(f"run_failed/dag{number}"))
    assert drain(settings, clock) == Delivered(waiting=5)
    with FakeSlack() as slack:
        assert drain(with_webhook(settings, slack), clock) == Delivered(messages=1, told=5)


def _drain_and_die(home: Path, url: str) -> None:
    """Drain, and be killed when Slack has answered, before that is written down."""
    from include.alerts import deliver as module

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    module._Drain._settle = die  # type: ignore[method-assign]
    deliver(Settings(home=home, slack_webhook_url=SecretStr(url), _env_file=None), deadline_s=10)


def test_a_drainer_killed_behind_slacks_answer_is_followed_by_one_that_repeats_the_id(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        name = keep(told, make_incident(), time.time())
        process = multiprocessing.get_context("spawn").Process(target=_drain_and_die, args=(settings.home, slack.url))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert deliver(told, deadline_s=5) == Delivered()  # the dead one holds the lease for a while
        later = Clock(time.time() + LEASE_S + 1)
        assert drain(told, later).messages == 1
    assert [line.partition("[")[2] for line in lines(slack)] == [f"{name}]"] * 2
    assert read_outbox(told)[0][1:3] == ("sent", 2)


def _report_many(home: Path, url: str, me: int, count: int) -> None:
    settings = Settings(home=home, slack_webhook_url=SecretStr(url), alerts_group_s=0.2, _env_file=None)
    for number in range(count):
        report_incident(settings, make_incident(f"run_failed/dag{number % 5}", parts=(f"task{me}-{number}",)))


def test_reports_of_many_processes_are_all_kept_and_told_of_few_times(settings: Settings) -> None:
    processes, each = 6, 50
    with FakeSlack() as slack:
        context = multiprocessing.get_context("spawn")
        started = [
            context.Process(target=_report_many, args=(settings.home, slack.url, me, each)) for me in range(processes)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(120)
        told = with_webhook(settings, slack)
        drain(told, Clock(time.time() + 3600))
        with open_store(told) as connection:
            found = list_open(connection)
    assert [process.exitcode for process in started] == [0] * processes
    assert sum(episode.count for episode in found) == processes * each
    assert {part for episode in found for part in episode.parts} == {
        f"task{me}-{number}" for me in range(processes) for number in range(each)
    }
    said = str(slack.posts)
    for episode in found:
        assert 1 <= said.count(f"[{episode.id}]") <= 3 * 2  # in a message's line, and in a digest's block
