"""The gate finds a bad session, whoever wrote it into the lake, and names the symbols."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.errors import BlockedError, NotFoundError
from include.lake.bars import open_bars, read_cube
from include.lake.files import list_sessions
from include.lake.reads import read_all
from include.lake.tables import VALIDATIONS, table_version
from include.quality.drift import build_reference
from include.quality.results import EXAMPLES, ExpectationResult, ValidationReport, read_report, require_valid
from include.quality.session import validate_session
from include.quality.suites import DEFAULT_FILE, load_suites
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAY = date(2018, 6, 10)


def usual_row(number: int, back: int, **changed: object) -> dict[str, Any]:
    """Return a row like no other: the symbol's level, a little higher the older the session."""
    level = 1 + number / 100 + back / 1000
    prices = {"open": level, "high": 2 * level, "low": level / 2, "close": 1.5 * level, "volume": 10 * level}
    return bar_row(f"S{number:02}", DAY - timedelta(days=back), **(prices | changed))


def settle(settings: Settings, *changes: dict[str, object], rows: int = 40, back: int = 5) -> ValidationReport:
    """Write some usual sessions and one of `rows` rows, the first of them changed, straight into the lake."""
    usual = [usual_row(number, day) for day in range(1, back + 1) for number in range(40)]
    session = [usual_row(number, 0) for number in range(rows)]
    for at, change in enumerate(changes):
        session[at] |= change
    put_bars(settings.lake, bar_rows(usual + session))
    return validate_session(settings, DAY)


def failed(report: ValidationReport) -> dict[str, ExpectationResult]:
    return {result.expectation: result for result in report.results if not result.success}


def test_a_clean_session_passes_every_expectation(settings: Settings) -> None:
    report = settle(settings)
    assert failed(report) == {}
    assert [result.expectation for result in report.results] == [entry.name for entry in load_suites(settings).session]
    assert report.bars_version == open_bars(settings.lake).version()
    assert report.suite_hash == load_suites(settings).suite_hash
    require_valid(report)


@pytest.mark.parametrize(
    ("change", "expectation"),
    [
        ({"open": -1.0, "low": -1.0}, "prices_positive"),
        ({"close": 0.0, "low": 0.0}, "prices_positive"),
        ({"high": float("nan")}, "nothing_is_missing"),
        ({"low": 1.1}, "low_is_lowest"),
        ({"high": 1.4}, "high_is_highest"),
    ],
)
def test_a_bad_bar_blocks_the_session_and_is_named(
    settings: Settings, change: dict[str, object], expectation: str
) -> None:
    report = settle(settings, {}, change)
    found = failed(report)[expectation]
    assert (found.severity, found.symbols) == ("session", ["S01"])
    with pytest.raises(BlockedError, match=rf"{expectation} \({found.unexpected_count}: S01\)") as caught:
        require_valid(report)
    assert str(DAY) in str(caught.value)


def test_a_fault_in_two_columns_is_one_result_that_names_both(settings: Settings) -> None:
    found = failed(settle(settings, {"open": -1.0, "low": -1.0}, {"low": -1.0}))["prices_positive"]
    assert (found.unexpected_count, found.symbols, found.detail) == (3, ["S00", "S01"], "open: 1 rows; low: 2 rows")


def test_a_symbol_that_comes_twice_blocks(settings: Settings) -> None:
    found = failed(settle(settings, {"symbol": "S07"}))["one_row_a_symbol"]
    assert (found.severity, found.unexpected_count, found.symbols) == ("session", 2, ["S07"])


def test_rounding_does_not_block(settings: Settings) -> None:
    tiny = {"open": 1e-8, "high": 1e-8, "low": 1.5e-8, "close": 1e-8}
    assert [
        each for each in failed(settle(settings, tiny, {"low": 1.01 + 5e-9})).values() if "low" in each.expectation
    ] == []


def test_negative_volume_is_told_and_does_not_block(settings: Settings) -> None:
    report = settle(settings, {"volume": -1.0}, {"volume": float("nan")})
    (result,) = failed(report).values()
    assert (result.expectation, result.severity, result.symbols) == ("volume_not_negative", "warn", ["S00"])
    require_valid(report)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (27, ["enough_rows", "symbols_of_yesterday", "few_symbols_missing"]),
        (28, ["few_symbols_missing"]),
        (38, []),
        (60, []),
        (61, ["not_too_many_rows"]),
    ],
)
def test_rows_and_symbols_are_held_against_the_sessions_before(settings: Settings, rows: int, names: list[str]) -> None:
    found = failed(settle(settings, rows=rows))
    assert list(found) == names
    assert [name for name, result in found.items() if result.severity == "session"] == names[:-1]
    if "few_symbols_missing" in found:
        assert found["few_symbols_missing"].symbols == [f"S{number}" for number in range(rows, 40)][:EXAMPLES]
        assert found["few_symbols_missing"].unexpected_count == 40 - rows


def test_yesterdays_numbers_again_block(settings: Settings) -> None:
    copied = [{key: value for key, value in usual_row(at, 1).items() if key != "session"} for at in range(21)]
    found = failed(settle(settings, *copied))["not_yesterday_again"]
    assert (found.severity, found.unexpected_count) == ("session", 21)
    assert "21 of 40 symbols (52.50 %) like session 2018-06-09" in found.detail


def test_half_of_yesterdays_numbers_do_not_block(settings: Settings) -> None:
    copied = [{key: value for key, value in usual_row(at, 1).items() if key != "session"} for at in range(20)]
    assert failed(settle(settings, *copied)) == {}


def test_symbols_with_the_same_numbers_are_told(settings: Settings) -> None:
    twin = {key: usual_row(7, 0)[key] for key in ("open", "high", "low", "close", "volume")}
    (found,) = failed(settle(settings, twin)).values()
    assert (found.expectation, found.severity, found.symbols) == ("rows_differ", "warn", ["S00", "S07"])


def test_a_gap_before_it_is_told(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows(usual_row(number, back) for number in range(40) for back in (0, 2, 3)))
    (found,) = failed(validate_session(settings, DAY)).values()
    assert (found.expectation, found.severity, found.symbols) == ("session_before_is_there", "warn", ["2018-06-09"])


def test_a_symbol_that_stands_still_is_told_on_the_tenth_session(settings: Settings) -> None:
    rows = [
        usual_row(number, back, **({"close": 1.0} if number == 3 else {})) for back in range(10) for number in range(40)
    ]
    put_bars(settings.lake, bar_rows(rows))
    assert failed(validate_session(settings, DAY))["closes_change"].symbols == ["S03"]
    put_bars(
        settings.lake,
        bar_rows(usual_row(number, -1, **({"close": 1.0} if number == 3 else {})) for number in range(40)),
    )
    assert failed(validate_session(settings, DAY + timedelta(days=1))) == {}


def test_a_move_beyond_a_symbols_own_habit_is_told(settings: Settings) -> None:
    found = failed(settle(settings, {}, {"close": 3.0, "high": 3.0}, back=25))["moves_like_before"]
    assert (found.severity, found.unexpected_count, found.symbols) == ("warn", 1, ["S01"])
    assert "S01 x1.98" in found.detail


def test_a_session_that_has_not_closed_blocks(settings: Settings) -> None:
    settle(settings)
    noon = datetime(2018, 6, 10, 12, tzinfo=UTC)
    found = failed(validate_session(settings, DAY, now=noon))
    assert list(found) == ["session_has_closed"]
    assert failed(validate_session(settings, DAY, now=noon + timedelta(hours=12))) == {}
    assert list(failed(validate_session(settings, DAY, now=datetime(1970, 1, 1, tzinfo=UTC)))) == ["session_has_closed"]


def test_the_first_session_is_not_judged_by_those_before(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", DAY)]))
    report = validate_session(settings, DAY)
    assert failed(report) == {}
    said = {result.expectation: result.detail for result in report.results}
    assert said["enough_rows"] == said["not_too_many_rows"] == "not judged: the first session"


def test_drift_is_judged_where_the_model_in_production_has_a_reference(settings: Settings) -> None:
    random = np.random.default_rng(3)
    rows = [
        usual_row(number, back, close=float(random.uniform(0.9, 1.1)), open=1.0, high=2.0, low=0.5)
        for back in range(45)
        for number in range(40)
    ]
    put_bars(settings.lake, bar_rows(rows))
    bars = open_bars(settings.lake)
    sessions = list_sessions(bars)[:-1]
    reference = build_reference(read_cube(bars, sessions).values, sessions)
    without = {result.expectation: result for result in validate_session(settings, DAY).results}
    assert without["distributions_like_reference"].detail == "not judged: no model is in Production"
    assert "distributions_like_reference" not in failed(validate_session(settings, DAY, reference=reference))
    worse = [usual_row(number, 0, open=1.0, high=40.0, low=0.5, close=30.0) for number in range(40)]
    put_bars(settings.lake, bar_rows(worse), replacing=True)
    found = failed(validate_session(settings, DAY, reference=reference))["distributions_like_reference"]
    assert found.severity == "warn"
    assert "close_return" in found.symbols
    assert "close_return psi" in found.detail


def test_a_person_changes_a_limit_in_a_file(settings: Settings, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(DEFAULT_FILE.read_text().replace("most: 1.5", "most: 1.01"))
    told = settings.model_copy(update={"expectations": mine})
    report = settle(told, rows=41)
    assert list(failed(report)) == ["not_too_many_rows"]
    assert report.suite_hash != load_suites(settings).suite_hash


def test_results_are_kept_and_the_newest_are_read(settings: Settings) -> None:
    first = settle(settings, {"low": 1.1})
    put_bars(settings.lake, bar_rows([usual_row(1, 0)]))
    second = validate_session(settings, DAY)
    assert read_all(settings.lake, VALIDATIONS).num_rows == len(first.results) + len(second.results)
    kept = read_report(settings.lake, DAY)
    assert kept == second
    assert second.bars_version == first.bars_version + 1
    assert failed(kept).keys() - failed(first).keys() == {"one_row_a_symbol", "rows_differ"}


def test_a_blocked_session_is_kept_too_and_names_few_symbols(settings: Settings) -> None:
    report = settle(settings, *[{"low": 1.9}] * 25)
    (result,) = report.blocking
    assert (result.unexpected_count, len(result.symbols)) == (25, EXAMPLES)
    with pytest.raises(BlockedError) as caught:
        require_valid(report)
    assert "low_is_lowest (25: S00, S01, S02, S03, S04)" in str(caught.value)
    assert read_report(settings.lake, DAY).blocking == [result]


def test_a_session_that_is_not_there(settings: Settings) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", DAY)]))
    with pytest.raises(NotFoundError, match="session 2018-06-11 must have bars"):
        validate_session(settings, DAY + timedelta(days=1))
    assert table_version(settings.lake, VALIDATIONS) is None
    with pytest.raises(NotFoundError, match="session 2018-06-10 must have been validated"):
        read_report(settings.lake, DAY)
