"""Cells are told apart by their bits, and rows that one side lacks are named."""

from __future__ import annotations

import numpy as np
import pytest

from include.audit.compare import compare_forecasts
from tests.include.lake.rows import forecast_row, forecast_rows

ROWS = [forecast_row(name, target, 1.1, 1.0) for name in ("A", "B", "C") for target in ("open", "close")]


def changed(at: int, **cells: object) -> list[dict]:
    return [row | cells if k == at else row for k, row in enumerate(ROWS)]


def test_the_same_rows_in_another_order_are_identical() -> None:
    found = compare_forecasts(forecast_rows(ROWS), forecast_rows(ROWS[::-1]))
    assert (found.rows, found.identical, found.close, found.differences) == (6, 6, 0, ())


@pytest.mark.parametrize(
    ("column", "value", "is_close"),
    [
        ("predicted", np.nextafter(1.1, 2), True),
        ("predicted", 1.1 * (1 + 2e-6), False),
        ("predicted", None, False),
        ("lower_80", 0.0, False),
        ("last_close", -1.0, False),
        ("status", "fallback", False),
        ("reason", "why", False),
    ],
)
def test_a_changed_cell_is_named(column: str, value: object, is_close: bool) -> None:
    found = compare_forecasts(forecast_rows(ROWS), forecast_rows(changed(3, **{column: value})))
    assert (found.rows, found.identical, found.close) == (6, 5, int(is_close))
    (only,) = found.differences
    assert (only.symbol, only.target, only.column, only.is_close) == ("B", "close", column, is_close)
    assert (only.recorded, only.computed) == (ROWS[3].get(column), value)


def test_minus_zero_is_not_zero_to_the_bit() -> None:
    found = compare_forecasts(forecast_rows(changed(0, volatility=0.0)), forecast_rows(changed(0, volatility=-0.0)))
    assert (found.identical, found.close) == (5, 1)


def test_rows_that_one_side_lacks_or_has_twice_are_named() -> None:
    lacking = compare_forecasts(forecast_rows(ROWS), forecast_rows(ROWS[1:]))
    assert (lacking.rows, lacking.identical) == (6, 5)
    assert [(each.symbol, each.column, each.recorded) for each in lacking.differences] == [("A", "row", "there")]
    twice = compare_forecasts(forecast_rows([*ROWS, ROWS[2]]), forecast_rows(ROWS))
    assert (twice.rows, twice.identical) == (7, 6)
    assert [(each.symbol, each.target, each.computed) for each in twice.differences] == [("B", "open", None)]


def test_what_is_not_within_rounding_is_shown_first() -> None:
    names = [f"S{number:03}" for number in range(60)]
    rows = [forecast_row(name, "open", 1.1, 1.0) for name in names]
    others = [row | {"predicted": np.nextafter(1.1, 2)} for row in rows]
    others[50]["predicted"] = 2.0
    found = compare_forecasts(forecast_rows(rows), forecast_rows(others))
    assert (found.identical, found.close) == (0, 59)
    assert found.differences[0].symbol == "S050"
    assert len(found.differences) == 20
