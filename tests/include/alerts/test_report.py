"""What reports do to the store: one incident a key, its messages, and what never hangs on them."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from include.alerts.deliver import deliver
from include.alerts.episodes import Episode, find_newest, list_open
from include.alerts.incidents import Affected, Incident, Links, Notice, Recovery, Report, Severity
from include.alerts.muting import explains
from include.alerts.outbox import What, list_waiting, mark_sent
from include.alerts.record import EDIT_AFTER_S, MORE_AFTER_S, SETTLES_S, record
from include.alerts.report import report_incident, report_recovery, tell_notice
from include.alerts.reserve import keep_reserve
from include.alerts.spool import list_spooled, spool
from include.alerts.store import open_store, store_file
from include.settings import Settings
from tests.fakes import Answer, FakeSlack
from tests.include.alerts.scenes import NOON, make_incident, with_webhook

KEY = "run_failed/market_close"


def keep(settings: Settings, report: Report, now: float = NOON, *, is_complete: bool = False) -> str:
    with open_store(settings, report.key) as connection:
        return record(connection, settings, report, now, is_complete=is_complete)


def waiting(settings: Settings) -> list[tuple[What, float]]:
    with open_store(settings) as connection:
        return [(row.what, row.not_before) for row in list_waiting(connection)]


def tell_all(settings: Settings, now: float) -> None:
    """Count everything that waits as sent."""
    with open_store(settings) as connection:
        for row in list_waiting(connection):
            mark_sent(connection, [row], now)


def read(settings: Settings, key: str = KEY) -> Episode:
    with open_store(settings) as connection:
        found = find_newest(connection, key)
    assert found is not None
    return found


def test_what_is_reported_again_is_one_incident_with_its_parts(settings: Settings) -> None:
    first = keep(settings, make_incident(parts=("score",)))
    again = keep(settings, make_incident(parts=("score", "settle"), severity=Severity.CRITICAL), NOON + 5)
    found = read(settings)
    assert first == again == found.id
    assert (found.count, found.parts, found.severity) == (2, ("score", "settle"), Severity.CRITICAL)
    assert (found.opened_at, found.last_at) == (NOON, NOON + 5)
    assert [what for what, _ in waiting(settings)] == [What.OPENED]


def test_the_first_message_waits_for_a_runs_other_tasks_until_the_run_is_over(settings: Settings) -> None:
    keep(settings, make_incident(parts=("score",)))
    assert waiting(settings) == [(What.OPENED, NOON + settings.alerts_group_s)]
    keep(settings, make_incident(parts=("settle",)), NOON + 1, is_complete=True)
    assert waiting(settings) == [(What.OPENED, NOON + 1)]


def test_of_one_run_the_tasks_words_stand_and_of_another_run_the_newest(settings: Settings) -> None:
    keep(settings, make_incident(cause="", links=Links(run="r1")))
    keep(settings, make_incident(cause="score: killed", links=Links(run="r1", log="l1")))
    keep(settings, make_incident(cause="later words", links=Links(run="r1", log="l2")))
    assert (read(settings).cause, read(settings).links.log) == ("score: killed", "l1")
    keep(settings, make_incident(cause="other", links=Links(run="r2")))
    assert (read(settings).cause, read(settings).links) == ("other", Links(run="r2"))


def test_what_comes_after_the_message_is_told_once_more_at_most(settings: Settings) -> None:
    keep(settings, make_incident(parts=("a",)))
    tell_all(settings, NOON + 3)
    keep(settings, make_incident(parts=("a",)), NOON + 10)
    assert waiting(settings) == []
    keep(settings, make_incident(parts=("b",)), NOON + 20)
    assert waiting(settings) == [(What.MORE, NOON + 20 + MORE_AFTER_S)]
    tell_all(settings, NOON + 80)
    keep(settings, make_incident(parts=("c",)), NOON + 90)
    assert waiting(settings) == []


def test_a_bot_edits_its_message_each_time(settings: Settings) -> None:
    bot = settings.model_copy(update={"slack_bot_token": SecretStr("xoxb-1")})
    keep(bot, make_incident(parts=("a",)))
    tell_all(bot, NOON + 3)
    for at in (10.0, 11.0, 100.0):
        keep(bot, make_incident(parts=("a",)), NOON + at)
        assert waiting(bot) == [(What.MORE, NOON + (10 if at < 100 else 100) + EDIT_AFTER_S)]
        if at == 11.0:
            tell_all(bot, NOON + 20)


def test_what_goes_on_is_told_again_after_a_day_unless_somebody_has_it(settings: Settings) -> None:
    keep(settings, make_incident())
    tell_all(settings, NOON)
    keep(settings, make_incident(), NOON + 23 * 3600)
    assert waiting(settings) == []
    keep(settings, make_incident(), NOON + 24 * 3600)
    assert [what for what, _ in waiting(settings)] == [What.AGAIN]


def test_what_becomes_worse_is_told_at_once(settings: Settings) -> None:
    keep(settings, make_incident(severity=Severity.WARNING))
    tell_all(settings, NOON)
    keep(settings, make_incident(severity=Severity.CRITICAL), NOON + 1)
    assert waiting(settings) == [(What.MORE, NOON + 1)]


def test_a_recovery_ends_it_and_the_next_failure_is_a_new_one(settings: Settings) -> None:
    first = keep(settings, make_incident())
    assert keep(settings, Recovery(KEY, "it works"), NOON + 60) == first
    assert (read(settings).status, read(settings).recovered_at, read(settings).note) == (
        "recovered",
        NOON + 60,
        "it works",
    )
    assert keep(settings, Recovery(KEY), NOON + 61) == ""
    assert [what for what, _ in waiting(settings)] == [What.OPENED, What.RECOVERED]
    assert keep(settings, make_incident(), NOON + 62) != first


def test_a_cause_mutes_what_it_explains_and_what_heals_with_it_is_never_told(settings: Settings) -> None:
    keep(settings, make_incident("database_down/airflow"))
    keep(settings, make_incident(parts=("score",)), NOON + 1)
    keep(settings, make_incident("run_failed/retrain_weekly"), NOON + 1)
    keep(settings, Recovery("database_down/airflow"), NOON + 60)
    assert [at for what, at in waiting(settings) if what is What.OPENED] == [NOON, *[NOON + 60 + SETTLES_S] * 2]
    keep(settings, make_incident("database_down/airflow"), NOON + 70)
    keep(settings, Recovery(KEY), NOON + 80)
    assert read(settings).status == "recovered"
    assert [what for what, _ in waiting(settings)].count(What.RECOVERED) == 1  # the database's own


def test_what_outlasts_its_cause_is_told_once_it_has_had_time_to_heal(settings: Settings) -> None:
    keep(settings, make_incident("database_down/airflow"))
    tell_all(settings, NOON + 10)
    keep(settings, make_incident("scheduler_down/scheduler"), NOON + 11)
    keep(settings, Recovery("database_down/airflow"), NOON + 60)
    keep(settings, make_incident("triggerer_down/triggerer"), NOON + 65)
    keep(settings, make_incident(parts=("score",)), NOON + 66, is_complete=True)
    due = NOON + 60 + SETTLES_S
    assert [at for what, at in waiting(settings) if what is What.OPENED] == [due] * 3
    keep(settings, Recovery("scheduler_down/scheduler"), NOON + 90)
    keep(settings, Recovery(KEY), NOON + 91)
    assert waiting(settings) == [(What.RECOVERED, NOON + 60), (What.OPENED, due)]


@pytest.mark.parametrize(("dag_id", "is_muted"), [("market_close", True), ("maintain_lake", False)])
def test_a_pause_mutes_missing_forecasts_where_it_is_of_the_dag_that_makes_them(
    settings: Settings, dag_id: str, is_muted: bool
) -> None:
    keep(settings, make_incident(f"dag_paused/{dag_id}"))
    keep(settings, make_incident("forecasts_missing/2018-06-01"))
    with open_store(settings) as connection:
        cause, missing = list_open(connection)
    assert explains(cause, missing) is is_muted


def test_a_refused_session_mutes_the_failure_of_its_own_dag_alone(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident("gate_refused_session/market_close"), time.time())
        keep(told, make_incident("run_failed/market_close"), time.time())
        keep(told, make_incident("run_failed/rollback_model"), time.time())
        deliver(told, deadline_s=5)
        said = " ".join(post["text"] for post in slack.posts)
    assert "rollback_model failed" in said
    assert len(slack.posts) == 2


def test_what_is_missing_of_one_session_mutes_no_failure_of_another(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident("upload_missing/2018-06-02", affected=Affected(date(2018, 6, 2))), time.time())
        keep(told, make_incident("forecasts_missing/2018-06-02", affected=Affected(date(2018, 6, 2))), time.time())
        keep(told, make_incident("run_failed/market_close", affected=Affected(date(2018, 6, 1))), time.time())
        deliver(told, deadline_s=5)
        said = " ".join(post["text"] for post in slack.posts)
    assert "market_close failed" in said
    assert len(slack.posts) == 2


@pytest.mark.parametrize(
    ("failed", "messages"),
    [
        (("wait_for_upload, session 2018-06-01",), 1),
        (("ingest, session 2018-06-01",), 2),
        (("wait_for_upload, session 2018-06-01", "ingest, session 2018-06-01"), 2),
        ((), 2),
    ],
)
def test_a_missing_upload_explains_that_it_was_waited_for_in_vain_and_no_other_failure(
    settings: Settings, failed: tuple[str, ...], messages: int
) -> None:
    about = Affected(date(2018, 6, 1))
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        keep(told, make_incident("upload_missing/2018-06-01", affected=about), time.time())
        for part in failed or ("",):
            parts = (part,) if part else ()
            keep(told, make_incident(affected=about, parts=parts), time.time(), is_complete=True)
        deliver(told, deadline_s=5)
        assert len(slack.posts) == messages


def test_a_switched_off_kind_is_kept_and_not_told(settings: Settings) -> None:
    silent = settings.model_copy(update={"alerts_off": "run_failed"})
    keep(silent, make_incident())
    keep(silent, Recovery(KEY))
    assert read(silent).status == "recovered"
    assert waiting(silent) == []


def test_a_notice_is_told_once_by_its_key(settings: Settings) -> None:
    notice = Notice("model_promoted/7", "model_promoted", "Version 7 serves")
    assert keep(settings, notice) == keep(settings, notice, NOON + 60)
    assert [what for what, _ in waiting(settings)] == [What.NOTICE]
    with open_store(settings) as connection:
        assert list_open(connection) == []


def test_secrets_are_not_even_kept(settings: Settings) -> None:
    report_incident(settings, make_incident(cause="POST /services/T0/B0/do-not-print-me", parts=("token=hunter22",)))
    tell_notice(settings, Notice("test/1", "test", "password=hunter22"))
    kept = b"".join(path.read_bytes() for path in settings.alerts.iterdir() if path.name != "reserve")
    assert b"run_failed" in kept
    assert b"do-not-print-me" not in kept
    assert b"hunter22" not in kept


def test_a_secret_is_known_though_the_text_is_cut_within_it(settings: Settings) -> None:
    secret = f"postgresql://airflow:{'hunter22' * 5}@db "
    report_incident(settings, make_incident(cause=secret + "x" * (4000 - len(secret) + 30)))
    assert "hunter22" not in read(settings).cause


def test_a_failed_task_with_an_endless_text_waits_no_longer(settings: Settings) -> None:
    text = "://a:" * 1_000_000
    began = time.monotonic()
    report_incident(settings, make_incident(summary=text, cause=text, parts=(text,) * 5))
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "\u202e"])
def test_a_key_of_any_characters_is_one_incident_until_it_heals(settings: Settings, name: str) -> None:
    key = f"run_failed/{name}"
    assert report_incident(settings, make_incident(key)) == report_incident(settings, make_incident(key))
    assert report_recovery(settings, key)


def test_without_slack_incidents_are_kept_all_the_same(settings: Settings) -> None:
    found = report_incident(settings, make_incident())
    assert read(settings).id == found
    assert report_recovery(settings, KEY)
    assert not report_recovery(settings, KEY)


@pytest.mark.parametrize("slack_is", [Answer(hang=True), Answer(500), Answer(429, headers={"Retry-After": "3600"})])
def test_a_failed_task_waits_two_seconds_at_most_whatever_slack_does(settings: Settings, slack_is: Answer) -> None:
    with FakeSlack() as slack:
        slack.otherwise = slack_is
        told = with_webhook(settings, slack)
        started = time.monotonic()
        assert report_incident(told, make_incident(), is_complete=True)
        assert time.monotonic() - started < 2.0
        slack.otherwise = Answer()
    assert [what for what, _ in waiting(settings)] == [What.OPENED]


@contextmanager
def hold_lock(settings: Settings) -> Iterator[None]:
    """Lock the database, as a writer that hangs does."""
    with closing(sqlite3.connect(store_file(settings), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_what_a_locked_database_cannot_take_is_laid_down_and_told_later(settings: Settings) -> None:
    keep(settings, Recovery("none"))
    with hold_lock(settings):
        started = time.monotonic()
        assert report_incident(settings, make_incident(parts=("score",))) == ""
        assert time.monotonic() - started < 2.0
        assert len(list_spooled(settings)) == 1
    for _ in range(50):  # the thread that waited for the lock has it now, and takes the file away
        if not list_spooled(settings):
            break
        time.sleep(0.05)
    deliver(settings, deadline_s=2)
    assert (read(settings).count, read(settings).parts) == (1, ("score",))


def test_a_report_from_a_process_that_died_waiting_is_taken_up(settings: Settings) -> None:
    settings.alerts.mkdir(parents=True)
    store_file(settings).mkdir()  # no database can be there
    assert report_incident(settings, make_incident(parts=("score",))) == ""
    assert not report_recovery(settings, "run_failed/other")
    assert tell_notice(settings, Notice("test/1", "test", "words")) == ""
    store_file(settings).rmdir()
    with FakeSlack() as slack:
        deliver(with_webhook(settings, slack), deadline_s=5)
        assert [post["text"].partition(" [")[0] for post in slack.posts] == ["🔵 words"]
    assert read(settings).parts == ("score",)
    assert list_spooled(settings) == []


def test_the_end_of_what_was_laid_down_ends_it(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        spool(told, make_incident())
        assert report_recovery(told, KEY)
        assert not list_spooled(told)
    assert ["Recovered" in body["text"] for body in slack.taken] == [False, True]


def test_what_was_laid_down_is_told_by_whoever_reports_next(settings: Settings) -> None:
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        spool(told, make_incident())
        report_recovery(told, "run_failed/other")
    assert len(slack.taken) == 1


@pytest.mark.parametrize("has_reserve", [True, False])
def test_a_damaged_database_is_set_aside_and_nothing_is_lost(settings: Settings, *, has_reserve: bool) -> None:
    report_incident(settings, make_incident("drift/before"))
    store_file(settings).write_bytes(b"no database" * 1000)
    if has_reserve:
        keep_reserve(settings)
    with FakeSlack() as slack:
        told = with_webhook(settings, slack)
        report_incident(told, make_incident())
        deliver(told, deadline_s=3.0)
    assert len(slack.taken) == 1
    assert list(settings.alerts.glob("alerts.db.damaged-*"))
    assert read(settings).count == 1


def test_a_file_that_is_no_report_stops_nothing(settings: Settings) -> None:
    (settings.alerts / "spool").mkdir(parents=True)
    (settings.alerts / "spool" / "1-x.json").write_text("{")
    keep(settings, make_incident())
    deliver(settings, deadline_s=1)
    assert [path.suffix for path in (settings.alerts / "spool").iterdir()] == [".unreadable"]


def test_where_nothing_can_be_written_it_is_sent_unkept(settings: Settings, tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("a file, where the home should be")
    with FakeSlack() as slack:
        told = with_webhook(settings, slack, home=home)
        assert report_incident(told, make_incident()) == ""
        assert "market_close failed" in slack.posts[0]["text"]


def test_reports_at_once_from_many_threads_are_one_incident(settings: Settings) -> None:
    def report(number: int) -> None:
        report_incident(settings, make_incident(parts=(f"task{number}",)))

    threads = [threading.Thread(target=report, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (read(settings).count, len(read(settings).parts)) == (20, 20)


def test_a_report_of_no_known_kind_is_refused_and_stops_no_other(settings: Settings) -> None:
    assert report_incident(settings, Incident("nonsense/x", "nonsense", "x")) == ""
    keep(settings, make_incident())
    deliver(settings, deadline_s=1)
    assert [path.suffix for path in (settings.alerts / "spool").iterdir()] == [".unreadable"]


def test_a_database_that_was_taken_away_is_made_again(settings: Settings) -> None:
    keep(settings, make_incident())
    for path in settings.alerts.glob("alerts.db*"):
        path.unlink()
    report_incident(settings, make_incident())  # finds no table, and is laid down
    assert report_incident(settings, make_incident("drift/forecasts"))
    deliver(settings, deadline_s=1)
    with open_store(settings) as connection:
        assert {each.kind for each in list_open(connection)} == {"run_failed", "drift"}
