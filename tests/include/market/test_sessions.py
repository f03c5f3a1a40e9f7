"""Sessions and closes against published holiday lists, and the calendar's own borders."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import InputError
from include.market.sessions import (
    CLOSE_ALLOWANCE,
    guess_calendar,
    is_session,
    load_calendar,
    newest_closed_session,
    newest_ingestible_session,
    next_session,
    off_calendar,
    previous_session,
    session_close,
    sessions_between,
)
from include.settings import PROJECT_ROOT

DATA = Path(PROJECT_ROOT) / "tests" / "data"
FILES = {"XNYS": "closes_xnys.csv", "XLON": "closes_xlon.csv", "24/7": "closes_24_7.csv"}


def read_closes(calendar: str) -> list[tuple[date, datetime | None]]:
    lines = (line for line in (DATA / FILES[calendar]).read_text().splitlines() if not line.startswith("#"))
    return [
        (
            date.fromisoformat(row["date"]),
            datetime.fromisoformat(row["close_utc"]).replace(tzinfo=UTC) if row["close_utc"] else None,
        )
        for row in csv.DictReader(lines)
    ]


KNOWN = [(name, day, close) for name in FILES for day, close in read_closes(name)]


@pytest.mark.parametrize(("name", "day", "close"), KNOWN)
def test_closes_are_the_published_ones(name: str, day: date, close: datetime | None) -> None:
    assert is_session(name, day) is (close is not None)
    if close is None:
        with pytest.raises(InputError, match=f"session must be a day on which {name} trades. Received: {day}"):
            session_close(name, day)
    else:
        assert session_close(name, day) == close
        assert session_close(name, day).tzinfo is UTC


@pytest.mark.parametrize(("name", "day", "close"), [row for row in KNOWN if row[2]])
def test_a_session_is_the_newest_closed_from_its_close_on(name: str, day: date, close: datetime) -> None:
    assert newest_closed_session(name, close) == day
    assert newest_closed_session(name, close - timedelta(microseconds=1)) == previous_session(name, day)


def test_newest_closed_session_reads_any_time_zone_and_refuses_none() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert newest_closed_session("XNYS", datetime(2016, 11, 25, 13, 0, tzinfo=new_york)) == date(2016, 11, 25)
    with pytest.raises(InputError, match="moment must have a time zone"):
        newest_closed_session("XNYS", datetime(2016, 11, 25, 13, 0))


@pytest.mark.parametrize(
    ("name", "now", "newest"),
    [
        # Friday after Thanksgiving closes at 13:00 New York time, 18:00 UTC (tests/data/closes_xnys.csv).
        ("XNYS", datetime(2016, 11, 25, 18, 0, tzinfo=UTC) - CLOSE_ALLOWANCE, date(2016, 11, 25)),
        ("XNYS", datetime(2016, 11, 25, 17, 54, 59, tzinfo=UTC), date(2016, 11, 23)),
        ("XNYS", datetime(2016, 11, 27, 12, 0, tzinfo=UTC), date(2016, 11, 25)),
        ("24/7", datetime(2018, 6, 1, 23, 50, tzinfo=UTC), date(2018, 5, 31)),
        ("24/7", datetime(2018, 6, 2, 0, 0, tzinfo=UTC), date(2018, 6, 1)),
        ("24/7", datetime(2018, 6, 2, 12, 0, tzinfo=timezone(timedelta(hours=14))), date(2018, 5, 31)),
    ],
)
def test_a_session_is_ingestible_once_its_bars_can_be_whole(name: str, now: datetime, newest: date) -> None:
    assert newest_ingestible_session(name, now) == newest


def test_what_is_ingestible_now_is_asked_with_a_time_zone() -> None:
    with pytest.raises(InputError, match="moment must have a time zone"):
        newest_ingestible_session("24/7", datetime(2018, 6, 2))


def test_holidays_and_weekends_are_stepped_over() -> None:
    assert next_session("XNYS", date(2016, 11, 23)) == date(2016, 11, 25)
    assert next_session("XNYS", date(2016, 11, 24)) == date(2016, 11, 25)
    assert previous_session("XNYS", date(2016, 11, 28)) == date(2016, 11, 25)
    assert previous_session("XNYS", date(2016, 11, 27)) == date(2016, 11, 25)
    week = sessions_between("XNYS", date(2016, 11, 21), date(2016, 11, 28))
    assert [day.day for day in week] == [21, 22, 23, 25, 28]
    assert sessions_between("XNYS", date(2016, 11, 28), date(2016, 11, 21)) == []


@pytest.mark.parametrize("name", ["24/7", "XNYS", "XLON", "XKRX"])
def test_calendars_cover_2010_to_a_year_ahead(name: str) -> None:
    assert next_session(name, date(2009, 12, 31)).year == 2010
    ahead = date.today() + timedelta(days=366)
    assert next_session(name, ahead) > ahead


def test_a_calendar_that_knows_fewer_years_says_which() -> None:
    known = load_calendar("XSAU").sessions[0].date()
    assert known.year > 2010
    with pytest.raises(InputError, match=f"the calendar XSAU covers sessions from {known} to"):
        previous_session("XSAU", date(2010, 1, 1))


def test_an_unknown_calendar_is_named_beside_known_ones() -> None:
    with pytest.raises(InputError, match=r"24/7, XNYS, .*Received: NYSE2"):
        load_calendar("NYSE2")


@given(st.dates(date(2010, 1, 1), date(2026, 6, 30)))
def test_next_and_previous_undo_each_other(day: date) -> None:
    following = next_session("XNYS", day)
    assert following > day
    assert previous_session("XNYS", following) <= day
    assert sessions_between("XNYS", day + timedelta(days=1), following) == [following]


@given(st.lists(st.one_of(st.none(), st.dates(date(1950, 1, 1), date(2100, 1, 1))), max_size=30))
def test_off_calendar_agrees_with_is_session(days: list[date | None]) -> None:
    expected = [day is None or not is_session("XNYS", day) for day in days]
    assert off_calendar("XNYS", pa.array(days, type=pa.date32())).tolist() == expected


def test_off_calendar_reads_chunks() -> None:
    chunks = pa.chunked_array([pa.array([date(2017, 7, 3), date(2017, 7, 4)]), pa.array([date(2017, 7, 8)])])
    mask = off_calendar("XNYS", chunks)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [False, True, True]


def test_guess_calendar_tells_weekends_from_exchange_days() -> None:
    assert guess_calendar(date(2018, 1, 1) + timedelta(days=i) for i in range(9)) == "24/7"
    year = sessions_between("XNYS", date(2016, 1, 1), date(2016, 12, 31))
    assert guess_calendar(year) == "XNYS"
    assert guess_calendar([*year, *read_holidays(5)]) == "XNYS"
    assert guess_calendar([*year, date(2016, 4, 2), date(2016, 4, 9)]) == "XNYS"


def read_holidays(count: int) -> list[date]:
    return [
        date(2016, 1, 18),
        date(2016, 2, 15),
        date(2016, 3, 25),
        date(2016, 5, 30),
        date(2016, 7, 4),
        date(2016, 9, 5),
    ][:count]


@pytest.mark.parametrize(
    "days",
    [
        [],
        [date(2018, 7, 2)],
        sessions_between("XNYS", date(2018, 7, 2), date(2018, 7, 6)),  # four days: 4 July is a holiday
        [*sessions_between("XNYS", date(2016, 1, 1), date(2016, 12, 31)), *read_holidays(6)],
        sessions_between("XTKS", date(2016, 1, 1), date(2017, 12, 31)),
    ],
)
def test_guess_calendar_asks_where_dates_do_not_tell(days: list[date]) -> None:
    with pytest.raises(InputError, match="CALENDAR must be set"):
        guess_calendar(days)


@pytest.mark.shared_data
def test_guess_calendar_on_real_files(shared_data: Path) -> None:
    files = {"crypto_daily_cmc_2013_2018.parquet": "24/7", "us_daily_2015_2017.parquet": "XNYS"}
    for name, calendar in files.items():
        dates = pc.unique(pq.read_table(shared_data / name, columns=["date"])["date"]).to_pylist()
        assert guess_calendar(dates) == calendar
