"""Dates as sessions: each form, the order of day and month, and what is no date."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import InputError
from include.uploads.dates import DateRules, DateTexts, encode_dates


def read(*chunks: list[str], date_order: str | None = None, expected: date | None = None) -> list[date]:
    texts, codes, rows = DateTexts(DateRules("day.csv", date_order, expected)), [], 0
    for chunk in chunks:
        codes += texts.add(
            encode_dates(pa.array(chunk, pa.string()), "day.csv"), np.arange(rows, rows + len(chunk)) + 1
        ).tolist()
        rows += len(chunk)
    days = pa.array(texts.settle()).cast(pa.date32()).to_pylist()
    return [days[code] for code in codes]


@pytest.mark.parametrize(
    "text",
    [
        "2018-07-02",
        " 2018-07-02 ",
        "2018-07-02T00:00:00Z",
        "2018-07-02 00:00:00",
        "2018-07-02 00:00:00.000000",
        "2018-07-02T00:00",
        "2018-07-02T00:00:00+00:00",
        "Jul 02, 2018",
        "July 2, 2018",
        "JUL 2 2018",
        "jul. 2, 2018",
    ],
)
def test_form_is_read(text: str) -> None:
    assert read([text]) == [date(2018, 7, 2)]


@pytest.mark.parametrize(
    "text",
    [
        *("2018-13-45", "2018-02-29", "soon", "", "2018-7-2", "20180702", "2018/07/02", "02.07.2018", "٢٠١٨-07-02"),
        *("2018-07-02T05:30:00", "2018-07-02T00:00:00-04:00", "Jux 02, 2018", "Ju 2, 2018", "Feb 30, 2018"),
        *("13/13/2018", "7/2/18", "0/1/2018", "2/30/2018", "30/2/2018"),
    ],
)
def test_what_is_no_date_is_named_with_its_row(text: str) -> None:
    good = {"/": "1/1/2018", ",": "Jan 1, 2018"}.get(next((mark for mark in "/," if mark in text), ""), "2018-01-01")
    with pytest.raises(InputError, match=r"a date must be a day .*day\.csv, row 3; nothing written") as caught:
        read([good], [good, text, text])
    assert repr(text) in str(caught.value)


def test_forms_do_not_mix() -> None:
    with pytest.raises(InputError, match=r"one form of date.*'2018-07-02' in row 1 .ISO., '7/2/2018' in row 3 .slash."):
        read(["2018-07-02", "2018-07-03"], ["7/2/2018"])


def test_a_part_above_twelve_settles_the_whole_file() -> None:
    assert read(["7/2/2018"], ["7/13/2018"]) == [date(2018, 7, 2), date(2018, 7, 13)]
    assert read(["7/2/2018"], ["13/2/2018"]) == [date(2018, 2, 7), date(2018, 2, 13)]


def test_evidence_is_stronger_than_the_setting() -> None:
    assert read(["7/13/2018"], date_order="D/M") == [date(2018, 7, 13)]


def test_evidence_both_ways_is_refused() -> None:
    with pytest.raises(InputError, match=r"mixed. Received: '13/2/2018' in row 2 .D/M., '7/13/2018' in row 3 .M/D."):
        read(["7/2/2018", "13/2/2018"], ["7/13/2018"], date_order="M/D")


def test_setting_is_stronger_than_the_expected_session() -> None:
    assert read(["7/2/2018"], date_order="M/D", expected=date(2018, 2, 7)) == [date(2018, 7, 2)]


def test_expected_session_settles_where_most_rows_are_of_it() -> None:
    assert read(["7/2/2018"] * 3, ["7/1/2018"], expected=date(2018, 2, 7))[0] == date(2018, 2, 7)
    assert read(["7/2/2018"] * 3, ["7/1/2018"], expected=date(2018, 7, 2))[0] == date(2018, 7, 2)


@pytest.mark.parametrize("expected", [None, date(2018, 7, 3), date(2018, 4, 4), date(2018, 7, 1)])
def test_nothing_settles_it(expected: date | None) -> None:
    with pytest.raises(InputError, match=r"CLOSECAST_DATE_ORDER.*'7/2/2018' in row 1"):
        read(["7/2/2018", "7/1/2018", "4/4/2018"], expected=expected)


def test_no_order_is_needed_where_day_and_month_are_equal() -> None:
    assert read(["4/4/2018", "05/05/2018"]) == [date(2018, 4, 4), date(2018, 5, 5)]


def test_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match=r"M/D or D/M\. Received: Y/M"):
        DateRules("day.csv", "Y/M")


def test_null_is_named_with_its_row() -> None:
    codes = encode_dates(pa.array(["2018-07-02", None]), "day.parquet")
    with pytest.raises(InputError, match=r"null .in day\.parquet, row 8"):
        DateTexts(DateRules("day.parquet")).add(codes, np.array([7, 8]))


def test_timestamp_with_a_time_of_day_is_refused() -> None:
    codes = encode_dates(pa.array([datetime(2018, 7, 2, 16, 0, tzinfo=UTC)]), "day.parquet")
    with pytest.raises(InputError, match="2018-07-02 16:00:00"):
        DateTexts(DateRules("day.parquet")).add(codes, np.array([1]))


def test_type_without_dates_is_named() -> None:
    with pytest.raises(InputError, match=r"must be dates, timestamps or text\. Received: int64"):
        encode_dates(pa.array([20180702]), "day.parquet, date")


def test_no_rows_give_no_sessions() -> None:
    assert read() == []


DAYS = st.lists(st.dates(date(1000, 1, 1)), min_size=1)


@given(DAYS, st.sampled_from(["%Y-%m-%d", "%b %d, %Y", "%B %d, %Y"]))
def test_days_survive_being_written(days: list[date], form: str) -> None:
    texts = [day.strftime(form) for day in days]
    assert read(texts[:2], texts[2:]) == days


@given(DAYS, st.sampled_from(["M/D", "D/M"]), st.booleans())
def test_slash_days_survive_in_either_order(days: list[date], order: str, padded: bool) -> None:
    width = "02" if padded else ""
    parts = [(day.month, day.day) if order == "M/D" else (day.day, day.month) for day in days]
    texts = [f"{a:{width}}/{b:{width}}/{day.year}" for (a, b), day in zip(parts, days, strict=True)]
    assert read(texts, date_order=order) == days
