"""The gate in front of a training: each rule of the suite on a snapshot that breaks it, and what a failure stops."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.errors import BlockedError
from include.lake.bars import BarCube
from include.quality.results import ExpectationResult, ValidationReport, keep_report, read_report
from include.quality.snapshot import require_valid_snapshot, snapshot_frame
from include.quality.suites import DEFAULT_FILE
from include.settings import Settings
from include.training.snapshot import read_snapshot, take_snapshot
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

FIRST = date(2018, 1, 1)


def cube_of(sessions: int = 40, symbols: int = 10) -> BarCube:
    days = [FIRST + timedelta(days=day) for day in range(sessions)]
    values = np.ones((sessions, symbols, 6), dtype=np.float32)
    names = np.array([f"S{number}" for number in range(symbols)], dtype=object)
    return BarCube(values, days, names, np.ones(symbols), np.full(symbols, sessions - 1), 3)


def blocked(settings: Settings, cube: BarCube, last: date | None = None) -> list[str]:
    try:
        report = require_valid_snapshot(settings, cube, last or cube.sessions[-1])
    except BlockedError:
        report = read_report(settings.lake, last or cube.sessions[-1], suite="snapshot")
    return [result.expectation for result in report.failed]


def test_a_good_snapshot_passes_and_is_kept(settings: Settings) -> None:
    cube = cube_of()
    report = require_valid_snapshot(settings, cube, cube.sessions[-1])
    assert (report.failed, len(report.results), report.bars_version) == ([], 6, 3)
    assert read_report(settings.lake, cube.sessions[-1], suite="snapshot") == report


def test_few_sessions_few_symbols_and_a_late_session_block(settings: Settings) -> None:
    assert blocked(settings, cube_of(sessions=29)) == ["enough_sessions"]
    assert blocked(settings, cube_of(symbols=4)) == ["enough_symbols"]
    cube = cube_of()
    assert blocked(settings, cube, cube.sessions[-2]) == ["nothing_after_the_cut"]
    twice = replace(cube, sessions=[*cube.sessions[:-1], cube.sessions[-2]])
    assert blocked(settings, twice) == ["nothing_after_the_cut"]


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf")])
def test_a_move_that_is_not_finite_blocks(settings: Settings, price: float) -> None:
    cube = cube_of()
    cube.values[7, 3, 3] = price
    assert blocked(settings, cube) == ["moves_are_finite"]


def test_missing_cells_count_between_a_symbols_first_and_last_row(settings: Settings) -> None:
    late = cube_of()
    late.values[:20, 1:] = np.nan  # nine symbols were listed half-way
    assert blocked(settings, late) == []
    holes = cube_of()
    holes.values[5:14, :] = np.nan  # 9 of 40 sessions
    assert blocked(settings, holes) == ["few_cells_missing"]
    assert float(snapshot_frame(holes, set())["missing"].mean()) == pytest.approx(9 / 40)


def test_sessions_that_are_blocked_by_their_own_validation_block(settings: Settings) -> None:
    cube = cube_of()
    for day, severity in zip(cube.sessions[:4], ["session", "session", "warn", "session"], strict=True):
        result = ExpectationResult("prices_positive", severity, False, 1, ["S1"], "")
        keep_report(settings.lake, ValidationReport("session", day, 1, "hash", [result]))
    assert blocked(settings, cube) == ["sessions_were_not_blocked"]
    mended = ExpectationResult("prices_positive", "session", True, 0, [], "")
    keep_report(settings.lake, ValidationReport("session", cube.sessions[0], 2, "hash", [mended]))
    assert blocked(settings, cube) == []  # 2 of 40


def test_no_model_is_trained_on_a_blocked_snapshot(settings: Settings, tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=day) for day in range(40)]
    put_bars(settings.lake, bar_rows(bar_row(f"S{number}", day) for day in days for number in range(5)))
    snapshot = take_snapshot(settings.model_copy(update={"holdout_sessions": 20}))
    assert read_snapshot(settings, snapshot).sessions == days
    mine = tmp_path / "mine.yaml"
    mine.write_text(DEFAULT_FILE.read_text().replace("      fewest: 5\n", "      fewest: 6\n"))
    strict = settings.model_copy(update={"expectations": mine})
    with pytest.raises(BlockedError, match=r"before a model is trained on it.*enough_symbols \(observed 5"):
        read_snapshot(strict, snapshot)
