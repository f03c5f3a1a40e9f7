"""Errors of forecasts, worked by hand: ln(1.1) = 0.09531018, ln(1.21) = 0.19062036, ln(2) = 0.69314718."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from include.monitoring.errors import SessionError, measure_errors, read_session_errors
from include.schema import Status
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import MOMENT, bar_row, bar_rows, forecast_row, forecast_rows, put_forecasts

AS_OF, NEXT = date(2018, 6, 1), date(2018, 6, 2)


@pytest.fixture
def scored(settings: Settings) -> Settings:
    """A came 21 % above the last close, forecast 10 % above; B stayed, its open forecast at twice that."""
    bars = [bar_row("A", NEXT, open=121.0, close=110.0), bar_row("B", NEXT, open=100.0, close=100.0)]
    put_bars(settings.lake, bar_rows([*bars, bar_row("A", AS_OF), bar_row("NEW", NEXT)]))
    rows = [
        forecast_row("A", "open", 110.0, 100.0),
        forecast_row("A", "close", 110.0, 100.0),
        forecast_row("B", "open", 200.0, 100.0),
        forecast_row("B", "close", 100.0, 100.0),
        forecast_row("GONE", "open", 7.0, 5.0),
        forecast_row("GONE", "close", 7.0, 5.0),
        forecast_row("STALE", "open", None, 5.0, status=Status.STALE),
    ]
    put_forecasts(settings.lake, (rows))
    return settings


def figures(errors: list[SessionError]) -> dict[str, tuple[int, float, float]]:
    return {each.target: (each.symbols, each.mean_absolute_error, each.last_close_error) for each in errors}


def test_errors_are_those_worked_by_hand(scored: Settings) -> None:
    errors = read_session_errors(scored)
    assert [(each.as_of, each.target_session) for each in errors] == [(AS_OF, NEXT)] * 2
    found = figures(errors)
    assert found["open"] == (2, pytest.approx((0.09531018 + 0.69314718) / 2), pytest.approx(0.19062036 / 2))
    assert found["close"] == (2, pytest.approx(0.0, abs=1e-12), pytest.approx(0.09531018 / 2))


def test_only_scored_rows_of_the_newest_run_count(scored: Settings) -> None:
    later = {"run_id": "second", "scored_at": MOMENT + timedelta(hours=1)}
    fallback = forecast_row("B", "open", 1e9, 100.0, status=Status.FALLBACK, **later)
    put_forecasts(scored.lake, ([forecast_row("A", "open", 121.0, 100.0, **later), fallback]))
    assert figures(read_session_errors(scored))["open"] == (1, pytest.approx(0.0, abs=1e-12), pytest.approx(0.19062036))


def test_forecasts_that_are_still_to_come_true_are_left_out(scored: Settings) -> None:
    coming = {"as_of": NEXT, "target_session": date(2018, 6, 3), "run_id": "coming"}
    put_forecasts(scored.lake, ([forecast_row("A", "open", 1.0, 1.0, **coming)]))
    assert {each.as_of for each in read_session_errors(scored)} == {AS_OF}
    assert read_session_errors(scored, [NEXT]) == []


def test_without_forecasts_there_are_no_errors(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", AS_OF)]))
    assert read_session_errors(settings) == []


def test_where_no_symbol_came_the_error_is_not_a_number() -> None:
    run = forecast_rows([forecast_row("A", "open", 1.0, 1.0)])
    actual = bar_rows([bar_row("B", NEXT)]).select(["symbol", "open", "close"])
    error = measure_errors(run, actual, "open")
    assert error.symbols == 0
    assert np.isnan([error.mean_absolute_error, error.last_close_error]).all()
