"""Skill worked by hand: ln(1.1) = 0.09531018, ln(1.21) = 0.19062036, ln(2) = 0.69314718."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.errors import InputError
from include.monitoring.outcomes import settle
from include.monitoring.skill import Skill, read_skill
from include.schema import Status
from include.settings import Settings
from tests.include.lake.rows import forecast_row, put_forecasts
from tests.include.monitoring.scenes import day, put_session, put_truth


@pytest.fixture
def scored(settings: Settings, tmp_path: Path) -> Settings:
    """A came 21 % above the last close, forecast 10 % above; B stayed, its open forecast at twice that."""
    put_session(settings, tmp_path, day(0), {"A": 100.0, "B": 100.0, "C": 100.0})
    inside = {"lower_80": 120.0, "upper_80": 130.0, "lower_95": 90.0, "upper_95": 130.0}
    rows = [
        forecast_row("A", "open", 110.0, 100.0, volatility=0.05, **inside),
        forecast_row("A", "close", 110.0, 100.0),
        forecast_row("B", "open", 200.0, 100.0, volatility=0.1, **inside),
        forecast_row("B", "close", 100.0, 100.0),
        forecast_row("C", "close", 100.0, 100.0, status=Status.FALLBACK),
        forecast_row("GONE", "open", 7.0, 5.0),
    ]
    put_forecasts(settings.lake, rows)
    put_session(settings, tmp_path, day(1), {"A": 121.0, "B": 100.0, "C": 300.0})
    settle(settings, day(1))
    return settings


def by_target(rows: list[Skill]) -> dict[str, Skill]:
    return {row.target: row for row in rows}


def test_figures_are_those_worked_by_hand(scored: Settings) -> None:
    report = read_skill(scored)
    assert (report.sessions, report.in_sample, report.fallback) == ([day(1)], 0, 1)
    found = by_target(report.rows)
    opened = found["open"]
    assert (opened.group, opened.forecasts) == ("newest 1", 2)
    assert opened.mean_absolute_error == pytest.approx((0.09531018 + 0.69314718) / 2)
    assert opened.last_close_error == pytest.approx(0.19062036 / 2)
    assert opened.relative_error == pytest.approx((0.09531018 + 0.69314718) / 0.19062036)
    assert (opened.directional_accuracy, opened.coverage_80, opened.coverage_95) == (1.0, 0.5, 1.0)
    assert opened.mean_scaled_error == pytest.approx((0.09531018 / 0.05 + 0.69314718 / 0.1) / 2)
    closed = found["close"]
    assert closed.mean_absolute_error == pytest.approx(0.09531018 / 2)
    assert (closed.coverage_80, closed.mean_scaled_error) == (None, None)


def test_what_was_in_the_training_span_is_never_skill(settings: Settings, tmp_path: Path) -> None:
    put_session(settings, tmp_path, day(0), {"A": 100.0})
    put_forecasts(settings.lake, [forecast_row("A", "open", 121.0, 100.0)], trained_through=day(1))
    put_session(settings, tmp_path, day(1), {"A": 121.0})
    settle(settings, day(1))
    report = read_skill(settings)
    assert (report.rows, report.in_sample) == ([], 1)


@pytest.mark.parametrize(
    ("by", "groups"),
    [("symbol", ["B", "A"]), ("session", ["2018-06-02"]), ("version", ["1"]), ("horizon", ["1"])],
)
def test_forecasts_are_told_apart(scored: Settings, by: str, groups: list[str]) -> None:
    rows = read_skill(scored, by=by).rows
    assert list(dict.fromkeys(row.group for row in rows if row.target == "open")) == groups
    assert sum(row.forecasts for row in rows) == 4


def test_cohorts_are_deciles_of_volatility_and_what_has_none_comes_last(scored: Settings) -> None:
    rows = read_skill(scored, by="cohort").rows
    assert [(row.group, row.target, row.forecasts) for row in rows] == [
        ("1", "open", 1),
        ("10", "open", 1),
        ("unknown", "close", 2),
    ]


def test_spans_are_one_seven_thirty_and_ninety_as_far_as_there_are_sessions(settings: Settings, tmp_path: Path) -> None:
    put_truth(settings, tmp_path, ["A", "B"], range(10))
    assert [(row.group, row.forecasts) for row in read_skill(settings, sessions=90).rows if row.target == "open"] == [
        ("newest 1", 2),
        ("newest 7", 14),
        ("newest 9", 18),
    ]
    assert read_skill(settings, sessions=1, through=day(4)).sessions == [day(4)]


@pytest.mark.parametrize("asked", [{"by": "colour"}, {"sessions": 0}])
def test_what_cannot_be_told_apart_is_bad_input(settings: Settings, asked: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_skill(settings, **asked)


def test_before_the_first_outcome_there_is_no_skill(settings: Settings) -> None:
    assert read_skill(settings).rows == read_skill(settings, by="symbol").rows == []
    assert read_skill(settings, through=date(2018, 1, 1)).sessions == []
