"""Outcomes worked by hand, restated with the data, in the units of their forecasts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.ingest.ingest import ingest_upload
from include.lake.reads import read_all
from include.lake.tables import OUTCOMES
from include.monitoring.outcomes import find_stale, settle
from include.schema import Status
from include.settings import Settings
from tests.include.lake.rows import forecast_row, put_forecasts

AS_OF, NEXT = date(2018, 6, 1), date(2018, 6, 2)
HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"


def put_bar(settings: Settings, folder: Path, name: str, *bars: tuple[str, date, float, float]) -> None:
    path = folder / name
    lines = (f"{s},{day},{o},{max(o, c)},{min(o, c)},{c},1,1\n" for s, day, o, c in bars)
    path.write_text(HEADER + "".join(lines))
    ingest_upload(settings, path)


def read(settings: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["symbol"], row["target"]): row for row in read_all(settings.lake, OUTCOMES).to_pylist()}


@pytest.fixture
def scored(settings: Settings, tmp_path: Path) -> Settings:
    """A's open forecast 10 % up with bounds at 5 and 15 %; B's not at all; C's last close stands in."""
    put_bar(settings, tmp_path, "1.csv", ("A", AS_OF, 100, 100), ("B", AS_OF, 100, 100), ("C", AS_OF, 100, 100))
    bounds = {"lower_80": 105.0, "upper_80": 115.0, "lower_95": 90.0, "upper_95": 121.0, "volatility": 0.05}
    rows = [
        forecast_row("A", "open", 110.0, 100.0, **bounds),
        forecast_row("A", "close", 110.0, 100.0),
        forecast_row("B", "open", None, 100.0, status=Status.STALE),
        forecast_row("C", "close", 100.0, 100.0, status=Status.FALLBACK),
    ]
    put_forecasts(settings.lake, rows)
    return settings


def test_errors_and_intervals_are_those_worked_by_hand(scored: Settings, tmp_path: Path) -> None:
    put_bar(scored, tmp_path, "2.csv", ("A", NEXT, 121, 99), ("B", NEXT, 1, 1), ("C", NEXT, 100, 100))
    assert settle(scored, NEXT).outcomes == 3
    found = read(scored)
    opened = found["A", "open"]
    assert opened["error"] == pytest.approx(0.09531018)
    assert opened["last_close_error"] == pytest.approx(0.19062036)
    assert opened["scaled_error"] == pytest.approx(0.09531018 / 0.05)
    assert (opened["inside_80"], opened["inside_95"], opened["is_hit"]) == (False, True, True)
    closed = found["A", "close"]
    assert (closed["is_hit"], closed["inside_80"], closed["horizon"]) == (False, None, 1)
    assert closed["error"] == pytest.approx(np.log(99 / 110))
    assert found["C", "close"]["is_hit"] is None
    assert ("B", "open") not in found


def test_again_it_converges_and_a_correction_restates(scored: Settings, tmp_path: Path) -> None:
    put_bar(scored, tmp_path, "2.csv", ("A", NEXT, 121, 99))
    settle(scored, NEXT)
    first = read(scored)
    settle(scored, NEXT)
    assert {key: row["actual"] for key, row in read(scored).items()} == {
        key: row["actual"] for key, row in first.items()
    }
    assert find_stale(scored) == []
    put_bar(scored, tmp_path, "3.csv", ("A", NEXT, 120, 99))
    assert find_stale(scored) == [NEXT]
    put_bar(scored, tmp_path, "4.csv", ("A", NEXT + timedelta(days=1), 1, 1))
    assert settle(scored, NEXT + timedelta(days=1)).sessions == [NEXT]
    assert read(scored)["A", "open"]["actual"] == 120.0
    assert find_stale(scored) == []


def test_a_row_that_came_late_is_settled_with_the_others(scored: Settings, tmp_path: Path) -> None:
    put_bar(scored, tmp_path, "2.csv", ("A", NEXT, 121, 99))
    settle(scored, NEXT)
    put_bar(scored, tmp_path, "3.csv", ("C", NEXT, 50, 100))
    settle(scored, NEXT)
    assert set(read(scored)) == {("A", "open"), ("A", "close"), ("C", "close")}


def test_forecasts_made_after_their_session_came_are_settled_by_their_own(scored: Settings, tmp_path: Path) -> None:
    put_bar(scored, tmp_path, "2.csv", ("A", NEXT, 121, 99))
    assert settle(scored, AS_OF).sessions == [NEXT]


def test_a_redenomination_is_measured_in_the_units_of_the_forecast(scored: Settings, tmp_path: Path) -> None:
    scored.symbol_changes_file.write_text(f"symbol,successor,session,factor\nA,AX,{NEXT},1000\n")
    put_bar(scored, tmp_path, "2.csv", ("AX", NEXT, 121_000, 99_000))
    settle(scored, NEXT)
    assert read(scored)["A", "open"]["actual"] == pytest.approx(121.0)


def test_a_session_in_the_training_span_is_never_skill(settings: Settings, tmp_path: Path) -> None:
    put_bar(settings, tmp_path, "1.csv", ("A", AS_OF, 100, 100), ("A", NEXT, 121, 99))
    for day, in_sample in ((NEXT, True), (AS_OF, False), (None, False)):
        rows = [forecast_row("A", "open", 110.0, 100.0, run_id=f"through {day}")]
        put_forecasts(settings.lake, rows, trained_through=day)
        settle(settings, NEXT)
        assert read(settings)["A", "open"]["in_sample"] is in_sample
