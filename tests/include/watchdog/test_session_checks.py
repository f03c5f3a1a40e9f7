"""Which sessions are due by the exchange's own calendar, and what is told of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from include.watchdog.session_checks import check_sessions, list_known_sessions
from include.watchdog.session_facts import DueSession, SessionFacts, list_due

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_sessions(settings, calendar, now, **options):
    chosen = settings.model_copy(
        update={
            "calendar": calendar,
            "first_session": date(2026, 1, 2),
            "upload_due_s": 3600,
            "forecast_deadline_s": 7200,
        }
    )
    found = list_due(chosen, at(now), since=options.pop("since", LONG_AGO), **options)
    return {each.session.isoformat(): each for each in found}


@pytest.mark.parametrize(
    ("calendar", "now", "newest"),
    [
        # Thanksgiving 2026 is Thursday 26 November; the Friday after it closes at 13:00 in New York, 18:00 UTC.
        ("XNYS", "2026-11-26T23:00", ["2026-11-24", "2026-11-25"]),
        ("XNYS", "2026-11-27T17:59", ["2026-11-24", "2026-11-25"]),
        ("XNYS", "2026-11-27T18:00", ["2026-11-25", "2026-11-27"]),
        ("XNYS", "2026-11-29T12:00", ["2026-11-25", "2026-11-27"]),  # a Sunday
        ("XNYS", "2026-11-30T21:00", ["2026-11-27", "2026-11-30"]),
        ("XNYS", "2026-07-06T12:00", ["2026-07-01", "2026-07-02"]),  # the 3rd stands for Saturday the 4th
        ("24/7", "2026-11-29T00:00", ["2026-11-27", "2026-11-28"]),
        ("24/7", "2026-12-25T23:59", ["2026-12-23", "2026-12-24"]),
    ],
)
def test_the_newest_sessions_that_have_closed_are_due(settings, calendar, now, newest):
    assert list(due_sessions(settings, calendar, now))[-2:] == newest


def test_a_half_day_is_due_by_its_own_close(settings):
    due = due_sessions(settings, "XNYS", "2026-11-28T12:00")
    assert due["2026-11-27"].upload_due == at("2026-11-27T19:00")
    assert due["2026-11-27"].forecasts_due == at("2026-11-27T20:00")
    assert due["2026-11-25"].forecasts_due == at("2026-11-25T23:00")


def test_a_close_in_summer_is_an_hour_earlier_in_utc(settings):
    assert due_sessions(settings, "XNYS", "2026-07-08T12:00")["2026-07-07"].upload_due == at("2026-07-07T21:00")


def test_a_system_that_was_started_later_has_its_time_from_then(settings):
    due = due_sessions(settings, "24/7", "2026-11-20T09:00", since=at("2026-11-20T08:00"))
    assert {each.upload_due for each in due.values()} == {at("2026-11-20T09:00")}


def test_only_what_is_scheduled_is_due(settings):
    first = settings.model_copy(update={"first_session": date(2026, 11, 18), "last_session": date(2026, 11, 19)})
    found = list_due(first, at("2026-11-25T09:00"), since=LONG_AGO)
    assert [each.session.day for each in found] == [18, 19]
    assert list_due(settings, at("2026-11-25T09:00"), since=LONG_AGO) == []
    begun = list_due(settings, at("2026-11-25T09:00"), since=LONG_AGO, begun=date(2026, 11, 23))
    assert [each.session.day for each in begun] == [23, 24]


def test_an_older_session_of_an_open_incident_is_looked_at_again(settings):
    also = list_known_sessions({"upload_missing/2026-03-02", "run_failed/market_close"})
    assert next(iter(due_sessions(settings, "24/7", "2026-11-20T09:00", also=also))) == "2026-03-02"


def test_an_incident_of_a_day_without_trade_is_looked_at_and_never_due(settings):
    also = list_known_sessions({"forecasts_missing/2026-11-26", "forecasts_missing/nonsense"})
    due = due_sessions(settings, "XNYS", "2026-12-04T12:00", also=also)["2026-11-26"]
    now = at("2027-01-01T00:00")
    assert check_sessions([SessionFacts(due, True, False)], now=now, known_keys=()).sightings == ()
    known = {"forecasts_missing/2026-11-26"}
    assert check_sessions([SessionFacts(due, True, True)], now=now, known_keys=known).healed == known


CLOSE = at("2026-11-20T00:00")
DUE = DueSession(date(2026, 11, 19), upload_due=CLOSE + HOUR, forecasts_due=CLOSE + 2 * HOUR)
UPLOAD, FORECASTS = "upload_missing/2026-11-19", "forecasts_missing/2026-11-19"


@pytest.mark.parametrize(
    ("hours", "has_upload", "has_forecasts", "told"),
    [
        (0.5, False, False, []),
        (1.0, False, False, [UPLOAD]),
        (3.0, False, False, [UPLOAD]),  # and not the forecasts too, which wait for it
        (1.5, True, False, []),
        (2.0, True, False, [FORECASTS]),
        (9.0, True, True, []),
    ],
)
def test_a_session_is_in_one_incident_at_most(hours, has_upload, has_forecasts, told):
    facts = [SessionFacts(DUE, has_upload, has_forecasts)]
    found = check_sessions(facts, now=CLOSE + hours * HOUR, known_keys=frozenset())
    assert [each.incident.key for each in found.sightings] == told
    assert all(each.incident.affected.session == DUE.session for each in found.sightings)


@pytest.mark.parametrize(
    ("has_upload", "has_forecasts", "healed"),
    [(False, False, set()), (True, False, {UPLOAD}), (True, True, {UPLOAD, FORECASTS})],
)
def test_a_session_heals_by_what_it_has(has_upload, has_forecasts, healed):
    facts = [SessionFacts(DUE, has_upload, has_forecasts)]
    known = {UPLOAD, FORECASTS, "upload_missing/2026-03-02"}
    assert check_sessions(facts, now=CLOSE + 9 * HOUR, known_keys=known).healed == healed


def test_what_a_person_has_closed_is_not_reported_again_and_the_rest_is():
    late = {"now": CLOSE + 9 * HOUR, "known_keys": frozenset()}
    assert check_sessions([SessionFacts(DUE, False, False)], **late, closed={UPLOAD}).sightings == ()
    (found,) = check_sessions([SessionFacts(DUE, True, False)], **late, closed={UPLOAD}).sightings
    assert found.incident.key == FORECASTS


def test_a_close_that_failed_says_why_there_are_no_forecasts_but_not_why_no_upload():
    facts, now = [SessionFacts(DUE, has_upload=True, has_forecasts=False)], CLOSE + 9 * HOUR
    assert check_sessions(facts, now=now, known_keys={"run_failed/market_close"}) == check_sessions(
        [], now=now, known_keys=()
    )
    assert check_sessions(facts, now=now, known_keys={"run_failed/retrain_weekly"}).sightings
    facts = [SessionFacts(DUE, has_upload=False, has_forecasts=False)]
    assert check_sessions(facts, now=now, known_keys={"run_failed/market_close"}).sightings


def test_an_upload_that_is_due_after_the_forecasts_is_missed_with_them():
    due = DueSession(DUE.session, upload_due=CLOSE + 9 * HOUR, forecasts_due=CLOSE + HOUR)
    found = check_sessions([SessionFacts(due, False, False)], now=CLOSE + HOUR, known_keys=())
    assert "2026-11-20 01:00 UTC" in found.sightings[0].incident.cause
