"""Each rule of a row at its edge, and which rule is named when several are broken."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from include.market.upload_rows import UPLOAD_BARS
from include.quality.rows import ROW_EXPECTATIONS, find_broken_rows, order_excess

FRIDAY, SATURDAY = date(2018, 6, 1), date(2018, 6, 2)
GOOD = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10.0, "market_cap": 100.0}
FLAT = {"open": 1e-8, "high": 1e-8, "low": 1e-8, "close": 1e-8}


def judge(*changes: dict[str, object], calendar: str = "24/7") -> list[str | None]:
    rows = [{"row_number": 1, "symbol": "A", "session": FRIDAY, **GOOD, **change} for change in changes]
    found = find_broken_rows(pa.Table.from_pylist(rows, UPLOAD_BARS), calendar)
    return [None if position < 0 else ROW_EXPECTATIONS[position].name for position in found]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, None),
        ({"open": 0.0}, "prices_positive"),
        ({"close": -1.5}, "prices_positive"),
        ({"high": float("inf")}, "prices_positive"),
        ({"low": float("nan")}, "prices_positive"),
        ({"open": 1e-44, "low": 1e-44}, None),
        ({"open": 1e-46, "low": 1e-46}, "prices_positive"),
        ({"high": 1e39}, "prices_positive"),
        ({"low": 1.0}, None),
        ({"low": 1.0 + 5e-9}, None),
        ({"low": 1.0 + 1e-5}, "low_is_lowest"),
        ({"close": 0.4}, "low_is_lowest"),
        ({"high": 1.5}, None),
        ({"high": 1.5 - 5e-9}, None),
        ({"high": 1.5 - 1e-5}, "high_is_highest"),
        ({"open": 2.1}, "high_is_highest"),
        ({"high": 0.4, "low": 0.5}, "low_is_lowest"),
        ({"volume": 0.0, "market_cap": 0.0}, None),
        ({"volume": None, "market_cap": None}, None),
        ({"volume": -1e-9}, "volume_not_negative"),
        ({"market_cap": -1.0}, "market_cap_not_negative"),
    ],
)
def test_each_rule_at_its_edge(change: dict[str, object], broken: str | None) -> None:
    assert judge(change) == [broken]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"low": 1.5e-8}, None),  # 5e-9 above its open: seen in the real files, one rounded digit of a coin at 1e-8
        ({"high": 5e-9}, None),
        ({"low": 2.5e-8}, "low_is_lowest"),
        ({"open": 2.5e-8, "low": 1e-8}, "high_is_highest"),
    ],
)
def test_rounding_of_a_coin_at_the_eighth_decimal_is_forgiven(change: dict[str, float], broken: str | None) -> None:
    assert judge({**FLAT, **change}) == [broken]


@pytest.mark.parametrize(("low", "broken"), [(100_000.09, None), (100_000.2, "low_is_lowest")])
def test_a_large_price_is_forgiven_one_part_in_a_million(low: float, broken: str | None) -> None:
    assert judge({"open": 1e5, "high": 1.1e5, "low": low, "close": 1e5}) == [broken]


def test_order_excess_counts_from_beyond_the_tolerance() -> None:
    low, high = np.array([1.0, 3.0, 5e-9]), np.array([2.0, 2.0, 0.0])
    np.testing.assert_allclose(order_excess(low, high), [-1.000002, 0.999998, -5e-9])


def test_a_week_end_is_off_the_calendar_of_new_york_and_on_that_of_coins() -> None:
    weekend = ({}, {"session": SATURDAY})
    assert judge(*weekend, calendar="XNYS") == [None, "session_on_calendar"]
    assert judge(*weekend) == [None, None]


def test_a_row_that_breaks_several_rules_is_named_once_by_the_first() -> None:
    everything = {"session": SATURDAY, "open": -1.0, "low": 9.0, "high": 3.0, "volume": -1.0, "market_cap": -1.0}
    changes = []
    for name in ("session", "open", "low", "high", "volume", "market_cap"):
        changes.append(dict(everything))
        del everything[name]
    names = [expectation.name for expectation in ROW_EXPECTATIONS]
    assert judge(*changes, calendar="XNYS")[:3] == names[:3]
    assert judge({"volume": -1.0, "market_cap": -1.0}) == ["volume_not_negative"]
    assert len(set(names)) == len(names) == 6


def test_no_rows_break_nothing() -> None:
    assert judge() == []
