"""The disk, the age of forecasts and the watchdog inside, as the watcher judges them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from include.watchdog.deadlines import Close, ask_closes, find_late
from include.watchdog.outside import check_age, check_disk, check_silence

LIMIT = timedelta(hours=4)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def close(day, hour=21):
    return Close(date(2026, 11, day), datetime(2026, 11, day, hour, tzinfo=UTC))


# Thanksgiving is the 26th, and the 27th a half day.
CLOSES = [close(24), close(25), close(27, hour=18), close(30)]


def late(now, newest, *, begun=date(2026, 1, 2), since=LONG_AGO):
    newest = newest and date(2026, 11, newest)
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = find_late(CLOSES, newest=newest, begun=begun, since=since, limit=LIMIT, now=moment)
    return found and found.session.day


@pytest.mark.parametrize(
    ("now", "newest", "session"),
    [
        ("2026-11-26T00:59", 24, None),
        ("2026-11-26T01:00", 24, 25),
        ("2026-11-27T21:59", 25, None),  # the holiday has no session
        ("2026-11-27T22:00", 25, 27),  # and the half day its own close
        ("2026-11-29T12:00", 27, None),
        ("2026-12-01T01:00", 25, 30),
        ("2026-12-01T01:00", 30, None),
        ("2026-12-01T01:00", None, 30),
    ],
)
def test_forecasts_are_late_by_the_calendar(now, newest, session):
    assert late(now, newest) == session


def test_a_system_that_was_started_later_has_its_time_from_then():
    since = datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert late("2026-12-01T02:59", 25, since=since) is None
    assert late("2026-12-01T03:00", 25, since=since) == 30


def test_a_home_that_never_forecast_and_has_no_first_session_owes_nothing():
    assert late("2026-12-01T01:00", None, begun=None) is None
    assert late("2026-12-01T01:00", 25, begun=None) == 30
    assert late("2026-12-01T01:00", None, begun=date(2026, 12, 1)) is None


@pytest.mark.slow
def test_the_closes_come_from_a_process_of_their_own(settings):
    own = settings.model_copy(update={"calendar": "XNYS"})
    found = {each.session: each.moment for each in ask_closes(own, datetime(2026, 11, 26, 12, tzinfo=UTC))}
    assert date(2026, 11, 26) not in found
    assert found[date(2026, 11, 27)] == datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert found[date(2026, 11, 25)] == datetime(2026, 11, 25, 21, tzinfo=UTC)


def keys(findings):
    return [each.incident.key for each in findings.sightings]


def test_a_full_disk_is_well_again_with_some_room_to_spare():
    key = "disk_full/home"
    assert keys(check_disk(1000, least_bytes=1000, known_keys=())) == []
    assert keys(check_disk(999, least_bytes=1000, known_keys=())) == [key]
    assert keys(check_disk(1050, least_bytes=1000, known_keys={key})) == [key]
    assert check_disk(1100, least_bytes=1000, known_keys={key}).healed == {key}


@pytest.mark.parametrize(
    "known", ["run_failed/market_close", "forecasts_missing/2026-11-25", "gate_refused_session/2026-11-25"]
)
def test_old_forecasts_are_told_unless_people_know_why(known):
    assert keys(check_age(close(25), date(2026, 11, 24), ())) == ["forecasts_old/published"]
    assert keys(check_age(close(25), None, {"run_failed/retrain_weekly"})) == ["forecasts_old/published"]
    assert keys(check_age(close(25), None, {known})) == []
    assert check_age(None, date(2026, 11, 25), {"forecasts_old/published"}).healed == {"forecasts_old/published"}


def test_a_watchdog_that_does_not_look_is_told_unless_its_own_run_failed():
    key, limit = "watch_failed/watch_system", timedelta(minutes=10)
    assert keys(check_silence(limit, limit=limit, known_keys=())) == []
    assert keys(check_silence(2 * limit, limit=limit, known_keys=())) == [key]
    assert keys(check_silence(2 * limit, limit=limit, known_keys={"run_failed/watch_system"})) == []
    assert check_silence(limit, limit=limit, known_keys={key}).healed == {key}
