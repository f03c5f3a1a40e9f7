"""Bars as they were known: the version or the moment, the sessions, symbols and columns that were asked for."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.errors import InputError, NotFoundError
from include.lake.asof import bars_as_of
from include.lake.catalog import read_operations
from include.lake.identity import SymbolChange, SymbolChanges
from include.schema import BARS
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 6, 1) + timedelta(days=number) for number in range(3)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three sessions of three symbols; the last commit corrects B of the first session."""
    for day in reversed(DAYS):
        put_bars(tmp_path, bar_rows(bar_row(symbol, day) for symbol in "ABC"))
    corrected = [bar_row(symbol, DAYS[0], close=1.75 if symbol == "B" else 1.5) for symbol in "ABC"]
    put_bars(tmp_path, bar_rows(corrected), replacing=True)
    return tmp_path


def closes(rows: pa.Table) -> list[tuple[date, str, float]]:
    return [(row["session"], row["symbol"], row["close"]) for row in rows.to_pylist()]


def test_the_newest_version_is_read_whole_by_session(lake: Path) -> None:
    rows = bars_as_of(lake)
    assert rows.column_names == BARS.names
    assert closes(rows) == [
        (day, symbol, 1.75 if (day, symbol) == (DAYS[0], "B") else 1.5) for day in DAYS for symbol in "ABC"
    ]


def test_an_earlier_version_has_what_it_had(lake: Path) -> None:
    assert set(closes(bars_as_of(lake, version=2))) == {(day, symbol, 1.5) for day in DAYS for symbol in "ABC"}
    assert {day for day, _, _ in closes(bars_as_of(lake, version=0))} == {DAYS[2]}


def test_a_moment_is_resolved_by_the_catalog_whatever_the_files_say(lake: Path) -> None:
    moments = [row["finished_at"] for row in read_operations(lake)]
    for file in (lake / "bars" / "_delta_log").iterdir():
        os.utime(file, (0, 0))
    wanted = {"sessions": DAYS[:1], "symbols": ["B"]}
    assert closes(bars_as_of(lake, known_at=moments[-1], **wanted)) == [(DAYS[0], "B", 1.75)]
    assert closes(bars_as_of(lake, known_at=moments[-1] - timedelta(microseconds=1), **wanted)) == [(DAYS[0], "B", 1.5)]
    assert bars_as_of(lake, known_at=moments[0], **wanted).num_rows == 0
    with pytest.raises(NotFoundError, match="bars must have been known at this moment"):
        bars_as_of(lake, known_at=moments[0] - timedelta(days=1))


def test_sessions_symbols_and_columns_are_cut(lake: Path) -> None:
    rows = bars_as_of(lake, sessions=[DAYS[2], DAYS[1], date(2031, 1, 1)], symbols=["C", "A", "?"], columns=["close"])
    assert rows.column_names == ["close"]
    assert rows.num_rows == 4
    rows = bars_as_of(lake, sessions=DAYS[:1], columns=["session", "symbol"])
    assert rows.to_pylist() == [{"session": DAYS[0], "symbol": symbol} for symbol in "ABC"]
    assert bars_as_of(lake, sessions=[], columns=["symbol"]).num_rows == 0


def test_only_the_wanted_sessions_are_opened(lake: Path) -> None:
    for file in (lake / "bars" / f"session={DAYS[2]}").iterdir():
        file.unlink()
    assert bars_as_of(lake, sessions=DAYS[:2]).num_rows == 6
    with pytest.raises(NotFoundError, match=r"must have all its files to be read .* Received: version 3"):
        bars_as_of(lake, sessions=DAYS)


def test_a_symbol_is_asked_for_by_the_name_it_has(lake: Path) -> None:
    changes = SymbolChanges((SymbolChange("A", "Z", DAYS[1], 10.0), SymbolChange("Z", "Y", DAYS[2])))

    def read(sessions: list[date], symbol: str) -> list[tuple[date, str, float]]:
        return closes(bars_as_of(lake, sessions=sessions, symbols=[symbol], changes=changes))

    assert read(DAYS[:1], "A") == [(DAYS[0], "A", 1.5)]
    assert read(DAYS[:1], "Z") == []
    assert read(DAYS[:2], "Z") == [(DAYS[0], "Z", 15.0)]
    assert read(DAYS, "Y") == [(DAYS[0], "Y", 15.0)]
    assert bars_as_of(lake, changes=changes, columns=["close"]).column_names == ["close"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"version": 1, "known_at": datetime(2020, 1, 1, tzinfo=UTC)}, "at a version or at a moment, not both"),
        ({"known_at": datetime(2020, 1, 1)}, "must say its time zone"),
        ({"columns": ["close", "spread"]}, "columns must be of .* Received: spread"),
    ],
)
def test_what_cannot_be_asked(lake: Path, asked: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        bars_as_of(lake, **asked)


def test_a_version_that_is_not_there(lake: Path) -> None:
    with pytest.raises(NotFoundError, match="table bars must have this version"):
        bars_as_of(lake, version=99)
