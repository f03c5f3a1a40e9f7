"""The gate finds a bad session, whoever wrote it into the lake, and names the symbols."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.errors import BlockedError, NotFoundError
from include.lake.bars import open_bars
from include.lake.tables import VALIDATIONS, read_all, table_version
from include.quality.session import (
    EXAMPLES,
    ExpectationResult,
    ValidationReport,
    read_validation,
    require_valid,
    validate_session,
)
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAY = date(2018, 6, 10)
USUAL = [f"S{number:02}" for number in range(40)]


def settle(settings: Settings, *changes: dict[str, object], rows: int = 40) -> ValidationReport:
    """Write five usual sessions and one of `rows` rows, the first of them changed, straight into the lake."""
    for back in range(1, 6):
        put_bars(settings.lake, bar_rows(bar_row(name, DAY - timedelta(days=back)) for name in USUAL))
    session = [bar_row(f"S{number:02}", DAY) for number in range(rows)]
    for at, change in enumerate(changes):
        session[at] |= change
    put_bars(settings.lake, bar_rows(session))
    return validate_session(settings, DAY)


def failed(report: ValidationReport) -> dict[str, ExpectationResult]:
    return {result.expectation: result for result in report.results if not result.success}


def test_a_clean_session_passes_every_expectation(settings: Settings) -> None:
    report = settle(settings)
    assert failed(report) == {}
    assert len(report.results) >= 20
    assert report.bars_version == open_bars(settings.lake).version()
    require_valid(report)


@pytest.mark.parametrize(
    ("change", "expectation"),
    [
        ({"open": -1.0, "low": -1.0}, "expect_column_values_to_be_between(open)"),
        ({"close": 0.0, "low": 0.0}, "expect_column_values_to_be_between(close)"),
        ({"high": float("nan")}, "expect_column_values_to_not_be_null(high)"),
        ({"low": 1.1}, "expect_column_values_to_be_between(low_excess)"),
        ({"high": 1.4}, "expect_column_values_to_be_between(high_deficit)"),
    ],
)
def test_a_bad_bar_blocks_the_session_and_is_named(
    settings: Settings, change: dict[str, object], expectation: str
) -> None:
    report = settle(settings, {}, change)
    found = failed(report)[expectation]
    assert (found.severity, found.unexpected_count, found.symbols) == ("critical", 1, ["S01"])
    with pytest.raises(BlockedError, match=r"\(1 rows: S01\)") as caught:
        require_valid(report)
    assert expectation in str(caught.value)
    assert str(DAY) in str(caught.value)


def test_a_symbol_that_comes_twice_blocks(settings: Settings) -> None:
    found = failed(settle(settings, {"symbol": "S07"}))
    assert list(found) == ["expect_column_values_to_be_unique(symbol)"]
    result = found["expect_column_values_to_be_unique(symbol)"]
    assert (result.severity, result.unexpected_count, result.symbols) == ("critical", 2, ["S07", "S07"])


def test_rounding_does_not_block(settings: Settings) -> None:
    tiny = {"open": 1e-8, "high": 1e-8, "low": 1.5e-8, "close": 1e-8}
    assert failed(settle(settings, tiny, {"low": 1.0 + 5e-9})) == {}


def test_negative_volume_is_told_and_does_not_block(settings: Settings) -> None:
    report = settle(settings, {"volume": -1.0}, {"volume": float("nan")})
    (result,) = failed(report).values()
    assert (result.expectation, result.severity) == ("expect_column_values_to_be_between(volume)", "warning")
    assert result.symbols == ["S00"]
    require_valid(report)


@pytest.mark.parametrize(("rows", "severity"), [(27, "critical"), (28, None), (60, None), (61, "warning")], ids=str)
def test_the_row_count_is_held_against_the_sessions_before(settings: Settings, rows: int, severity: str | None) -> None:
    report = settle(settings, rows=rows)
    found = failed(report)
    assert [result.severity for result in found.values()] == ([severity] if severity else [])
    assert all("row_count" in name and result.detail == f"observed {rows}" for name, result in found.items())
    assert bool(report.blocking) is (severity == "critical")


def test_the_first_session_is_not_judged_by_its_row_count(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", DAY)]))
    report = validate_session(settings, DAY)
    assert failed(report) == {}
    assert not [result for result in report.results if "row_count" in result.expectation]


def test_results_are_kept_and_the_newest_are_read(settings: Settings) -> None:
    first = settle(settings, {"low": 1.1})
    put_bars(settings.lake, bar_rows([bar_row("S01", DAY)]))
    second = validate_session(settings, DAY)
    assert read_all(settings.lake, VALIDATIONS).num_rows == len(first.results) + len(second.results)
    kept = read_validation(settings, DAY)
    assert kept.bars_version == second.bars_version == first.bars_version + 1
    assert failed(kept) == failed(second)
    assert len(failed(kept)) == len(failed(first)) + 1


def test_a_blocked_session_is_kept_too_and_names_few_symbols(settings: Settings) -> None:
    report = settle(settings, *[{"low": 1.1}] * 25)
    (result,) = report.blocking
    assert (result.unexpected_count, len(result.symbols)) == (25, EXAMPLES)
    with pytest.raises(BlockedError) as caught:
        require_valid(report)
    assert "25 rows: S00, S01, S02, S03, S04)" in str(caught.value)
    assert read_validation(settings, DAY).blocking == [result]


def test_a_session_that_is_not_there(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", DAY)]))
    with pytest.raises(NotFoundError, match="session 2018-06-11 must have bars"):
        validate_session(settings, DAY + timedelta(days=1))
    assert table_version(settings.lake, VALIDATIONS) is None
    with pytest.raises(NotFoundError, match="session 2018-06-10 must have been validated"):
        read_validation(settings, DAY)
