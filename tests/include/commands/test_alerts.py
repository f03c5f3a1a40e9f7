"""`closecast alerts` and `closecast doctor` as a person or a script meets them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from include.alerts.deliver import deliver
from include.alerts.incidents import Affected, Recovery
from include.alerts.overview import read_closed
from include.alerts.record import record
from include.alerts.report import report_incident, report_recovery
from include.alerts.store import open_store, store_file
from include.commands import alerts
from include.commands.doctor import doctor
from include.doctor import examine
from include.errors import ClosecastError, InputError, NotFoundError, UnavailableError
from include.settings import Settings, load_settings
from include.status import read_status
from include.system.state import state_file
from tests.fakes import Answer, FakeSlack
from tests.include.alerts.scenes import make_incident

KEY = "run_failed/market_close"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    settings.home.mkdir()
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


@pytest.fixture
def slack(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        monkeypatch.setenv("CLOSECAST_SLACK_WEBHOOK_URL", server.url)
        load_settings.cache_clear()
        yield server


def run(*words: str) -> str:
    done = CliRunner().invoke(alerts.app, list(words))
    if isinstance(done.exception, ClosecastError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def ask(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def test_a_home_where_nothing_happened_has_no_database_after_it_either(home: Settings) -> None:
    assert run("list") == "nothing is wrong that anybody reported\n"
    assert not store_file(home).exists()


def test_what_is_open_is_listed_and_shown_with_its_messages(home: Settings, slack: FakeSlack) -> None:
    name = report_incident(load_settings(), make_incident(parts=("[b]score",), cause="[red]no price"), is_complete=True)
    listed = run("list")
    assert name in listed
    assert "market_close failed" in listed
    shown = run("show", KEY)
    assert "[red]no price" in shown
    assert "[b]score" in shown
    assert "docs/runbooks/run_failed.md" in shown
    assert "opened: sent" in shown
    found = ask("show", name)
    assert (found["key"], found["count"]) == (KEY, 1)
    assert [(each["what"], each["state"]) for each in found["messages"]] == [("opened", "sent")]


def test_the_list_names_the_key_and_why_nobody_was_told(home: Settings) -> None:
    report_incident(home, make_incident())
    assert f"{KEY}: open, untold: Slack is not set" in run("list")
    assert "open, untold: Slack is not set" in run("show", KEY)
    report_incident(home, make_incident("database_down/airflow"))
    found = {each["key"]: each["untold"] for each in ask("list")["incidents"]}
    assert found == {KEY: "silenced by database_down/airflow", "database_down/airflow": "Slack is not set"}


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("CLOSECAST_ALERTS_OFF", "run_failed", "its kind is not told"),
        ("CLOSECAST_ALERTS_QUIET", "00:00-12:00,12:00-00:00", "quiet hours or maintenance"),
        ("CLOSECAST_SLACK_MENTIONS", "nobody", None),
    ],
)
def test_settings_that_hold_a_message_back_are_named(
    home: Settings, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, why: str | None
) -> None:
    report_incident(home, make_incident())
    monkeypatch.setenv(setting, value)
    load_settings.cache_clear()
    assert ask("list")["incidents"][0]["untold"] == why


def test_incidents_are_seen_and_acked_where_the_state_of_the_system_cannot_be_read(home: Settings) -> None:
    report_incident(home, make_incident())
    home.run_dir.mkdir()
    state_file(home.run_dir).write_text("{")
    assert ask("list")["open"] == 1
    assert ask("ack", KEY)["key"] == KEY
    assert {each.name for each in examine(home) if each.fault} == {"system"}


def test_what_is_over_is_listed_on_request(home: Settings) -> None:
    report_incident(home, make_incident())
    with open_store(home, KEY) as connection:
        record(connection, home, Recovery(KEY), time.time())
    assert ask("list")["incidents"] == []
    assert [each["status"] for each in ask("list", "--all")["incidents"]] == ["recovered"]


def test_who_acks_is_told_no_more(home: Settings, slack: FakeSlack) -> None:
    told = load_settings()
    name = report_incident(told, make_incident(parts=("a",)), is_complete=True)
    assert ask("ack", name)["key"] == KEY
    report_incident(told, make_incident(parts=("b",)), is_complete=True)
    assert ask("list")["waiting"] == 0
    assert ask("list")["incidents"][0]["acked_by"]
    assert len(slack.posts) == 1


def test_what_nothing_finds_to_be_over_is_closed_by_hand(home: Settings, slack: FakeSlack) -> None:
    name = report_incident(load_settings(), make_incident("run_failed/gone"), is_complete=True)
    assert run("close", name, "--why", "its DAG was deleted") == f"{name} run_failed/gone is over\n"
    assert ask("list")["open"] == 0
    over = slack.posts[-1]
    assert "Recovered: gone failed" in over["text"]
    assert ": its DAG was deleted" in json.dumps(over["blocks"])
    with pytest.raises(NotFoundError):
        run("close", name, "--why", "twice")


def test_a_session_that_never_was_is_closed_with_the_run_that_waited_for_it(home: Settings, slack: FakeSlack) -> None:
    key, session = "upload_missing/2018-06-01", Affected(date(2018, 6, 1))
    report_incident(load_settings(), make_incident(key, affected=session))
    waited = make_incident(parts=("wait_for_upload",), affected=session)
    report_incident(load_settings(), waited, is_complete=True)
    report_incident(load_settings(), make_incident("run_failed/retrain_weekly"))
    run("close", key, "--why", "a holiday")
    assert [each["key"] for each in ask("list")["incidents"]] == ["run_failed/retrain_weekly"]
    assert not any("market_close" in post["text"] for post in slack.posts)
    assert read_closed(load_settings()) == {key}


def test_what_ended_by_itself_is_not_closed(home: Settings) -> None:
    report_incident(load_settings(), make_incident("upload_missing/2018-06-01"))
    report_recovery(load_settings(), "upload_missing/2018-06-01", note="The run of session 2018-06-01 succeeded.")
    assert read_closed(load_settings()) == frozenset()


def test_what_is_muted_waits_until_it_is_not(home: Settings, slack: FakeSlack) -> None:
    run("mute", "run_failed", "--for", "2h", "--why", "known")
    report_incident(load_settings(), make_incident())
    assert slack.posts == []
    listed = run("list")
    assert "run_failed (" in listed
    assert "muted: run_failed" in next(each.said for each in examine(home) if each.name == "incidents")
    assert "known)" in listed
    assert ask("unmute", "run_failed")["was_muted"] is True
    deliver(load_settings(), deadline_s=5)
    assert len(slack.posts) == 1
    assert ask("unmute", "run_failed")["was_muted"] is False


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("show", "none"), NotFoundError, "an incident must be open"),
        (("ack", "none"), NotFoundError, "an incident must be open"),
        (("close", "none", "--why", "x"), NotFoundError, "an incident must be open"),
        (("mute", "nonsense/x"), InputError, "a kind of incident must be one of"),
        (("mute", "*", "--for", "0h"), InputError, "a duration must be"),
        (("mute", "*", "--for", "forever"), InputError, "a duration must be"),
        (("test",), InputError, "Slack must be set"),
    ],
)
def test_what_cannot_be_done_is_said(home: Settings, words: tuple[str, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        run(*words)


def test_a_test_message_says_where_it_went_or_what_is_wrong(home: Settings, slack: FakeSlack) -> None:
    assert run("test") == "sent to webhook\n"
    assert "This is a test" in slack.posts[0]["text"]
    slack.otherwise = Answer(403, "invalid_token")
    with pytest.raises(UnavailableError, match="webhook: 403 invalid_token"):
        run("test")


def test_a_test_message_that_slack_takes_lets_what_waits_go_at_once(home: Settings, slack: FakeSlack) -> None:
    """A bot was invited into its channel: no setting has changed, and nothing else asks for up to an hour."""
    slack.otherwise = Answer(404, "channel_not_found")
    report_incident(load_settings(), make_incident(parts=()))
    deliver(load_settings(), deadline_s=5)
    with pytest.raises(UnavailableError):
        run("test")
    slack.otherwise = Answer()
    assert deliver(load_settings(), deadline_s=5).told == 0
    run("test")
    assert deliver(load_settings(), deadline_s=5).waiting == 0
    assert ask("list")["trouble"] == []


def test_trouble_with_slack_is_in_the_list_and_in_the_status(home: Settings, slack: FakeSlack) -> None:
    slack.otherwise = Answer(404, "no_service")
    told = load_settings()
    report_incident(told, make_incident())
    assert "Slack (webhook) must be mended: 404 no_service" in run("list")
    status = read_status(told)
    assert (status["open_incidents"], status["messages_waiting"]) == (2, 1)  # one of them is Slack itself
    assert status["slack"] == "webhook: 404 no_service"


def test_a_setting_of_slack_that_cannot_be_read_hides_nothing_of_the_status(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_status(load_settings())["slack"] == "no trouble known"
    monkeypatch.setenv("CLOSECAST_SLACK_WEBHOOKS", "nonsense")
    load_settings.cache_clear()
    status = read_status(load_settings())
    assert status["open_incidents"] == 0
    assert "CLOSECAST_SLACK_WEBHOOKS" in status["slack"]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(400, "no_text"), ""),  # what a webhook that works says to an empty message
        (Answer(404, "no_service"), "404 no_service"),
        (Answer(403, "invalid_token"), "403 invalid_token"),
        (Answer(500, "internal_error"), "500 internal_error"),
    ],
)
def test_the_doctor_asks_slack_without_a_message(slack: FakeSlack, answer: Answer, fault: str) -> None:
    slack.otherwise = answer
    found = {each.name: each.fault for each in examine(load_settings())}
    assert found["slack webhook"] == fault
    assert (slack.posts[-1]["text"], slack.posts[-1]["blocks"]) == ("", [])


def test_the_doctor_finds_a_bots_faults(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSlack(Answer(), Answer(body='{"ok": false, "error": "channel_not_found"}')) as server:
        monkeypatch.setenv("CLOSECAST_SLACK_BOT_TOKEN", "xoxb-1")
        monkeypatch.setenv("CLOSECAST_SLACK_CHANNEL", "C0NONE")
        monkeypatch.setenv("CLOSECAST_SLACK_API_URL", server.api_url)
        load_settings.cache_clear()
        found = {each.name: each.fault for each in examine(load_settings())}
    assert found["slack bot:C0NONE"] == "200 channel_not_found"
    assert [call.method for call in server.calls] == ["auth.test", "conversations.info"]


def test_the_doctor_names_a_setting_that_cannot_be_read_and_ends_with_one(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSECAST_ALERTS_QUIET", "at night")
    monkeypatch.setenv("CLOSECAST_ALERTS_OFF", "")
    load_settings.cache_clear()
    app = typer.Typer()
    app.command()(doctor)
    done = CliRunner().invoke(app, ["--json"])
    assert done.exit_code == 1
    faults = [each["fault"] for each in json.loads(done.stdout)["checks"] if each["fault"]]
    assert len(faults) == 1
    assert "CLOSECAST_ALERTS_QUIET" in faults[0]


def test_a_mute_ends_while_somebody_remembers_it(home: Settings) -> None:
    assert ask("mute", "drift", "--for", "90d")["key"] == "drift"
    with pytest.raises(InputError, match="CLOSECAST_ALERTS_OFF"):
        run("mute", "drift", "--for", "91d")


@pytest.mark.parametrize("command", ["show", "ack"])
def test_who_asks_for_what_is_not_there_leaves_no_database(home: Settings, command: str) -> None:
    with pytest.raises(NotFoundError, match="alerts list"):
        run(command, "run_failed/nothing")
    assert not store_file(home).exists()
