"""What the sessions before say about one: each finding on a lake small enough to see through."""

from __future__ import annotations

import copy
from datetime import date, timedelta

import numpy as np
import pytest

from include.errors import NotFoundError
from include.lake.bars import open_bars
from include.quality.history import (
    SessionHistory,
    find_absent_sessions,
    find_copied,
    find_missing,
    find_stale,
    find_wide_moves,
    read_history,
)
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAY = date(2018, 6, 10)


def remember(settings: Settings, *closes: dict[str, float | None], gap: int = 0, full: int = 2) -> SessionHistory:
    """Commit sessions up to DAY, each symbol → close, `gap` empty days before the last, and read its history."""
    for back, session in enumerate(reversed(closes)):
        day = DAY - timedelta(days=back + (gap if back else 0))
        rows = [
            bar_row(symbol, day, open=close, high=close, low=close, close=close)
            for symbol, close in session.items()
            if close is not None
        ]
        put_bars(settings.lake, bar_rows(rows))
    bars = open_bars(settings.lake)
    return read_history(bars, DAY, calendar="24/7", closed=True, depth=10, full=full, calendar_depth=3)


def test_a_history_is_dense_and_names_what_it_holds(settings: Settings) -> None:
    history = remember(settings, {"B": 1, "A": 2}, {"A": 3}, {"C": 5, "A": 4})
    assert history.before == [DAY - timedelta(days=2), DAY - timedelta(days=1)]
    assert history.counts.tolist() == [2, 1]
    closes = {str(name): history.closes[:, at].tolist() for at, name in enumerate(history.symbols) if name is not None}
    nan = float("nan")
    assert {name: [str(each) for each in values] for name, values in closes.items()} == {
        "A": ["2.0", "3.0", "4.0"],
        "B": ["1.0", str(nan), str(nan)],
        "C": [str(nan), str(nan), "5.0"],
    }
    assert history.newest.shape == (2, len(history.symbols), 6)
    at = list(history.symbols).index("C")
    np.testing.assert_array_equal(history.newest[:, at, 3], [np.nan, 5.0])
    np.testing.assert_array_equal(history.newest[1, at], [5, 5, 5, 5, 10, np.nan])


def test_numbers_are_read_as_they_are(settings: Settings) -> None:
    close = 1.000000000000001  # not a float32
    assert remember(settings, {"A": close}).closes[-1, 0] == close


def test_a_history_is_never_copied(settings: Settings) -> None:
    history = remember(settings, {"A": 1})
    assert copy.deepcopy(history) is history


def test_missing_symbols_are_those_of_the_session_before_alone(settings: Settings) -> None:
    found = find_missing(remember(settings, {"OLD": 1, "A": 1}, {"A": 1, "B": 1, "C": 1, "D": 1}, {"A": 1, "C": 1}))
    assert (found.names, found.of, found.share) == (["B", "D"], 4, 0.5)
    assert found.observed == "2 of 4 symbols (50.00 %) of session 2018-06-09"


def test_copied_symbols_have_all_their_numbers_from_the_session_before(settings: Settings) -> None:
    found = find_copied(remember(settings, {"A": 1, "B": 2, "GONE": 3}, {"A": 1, "B": 2.5, "NEW": 4}))
    assert (found.names, found.of) == (["A"], 2)


def test_a_first_session_is_not_compared(settings: Settings) -> None:
    history = remember(settings, {"A": 1})
    assert (find_missing(history).of, find_copied(history).of, find_absent_sessions(history).of) == (0, 0, 0)
    assert find_missing(history).share == 0
    assert find_stale(history, closes=2).names == []
    assert find_wide_moves(history, sessions=60, deviations=12, floor=0.2, fewest=20).names == []


def test_sessions_absent_before_it_are_named_newest_first(settings: Settings) -> None:
    found = find_absent_sessions(remember(settings, {"A": 1}, {"A": 1}, gap=2))
    assert (found.names, found.of) == (["2018-06-09", "2018-06-08"], 3)
    assert find_absent_sessions(remember(settings, {"A": 1}, {"A": 1}, {"A": 2})).names == []


def test_a_symbol_is_stale_once_on_its_nth_equal_close(settings: Settings) -> None:
    flat: dict[str, float | None] = {"NOW": 1, "LONGER": 1, "SHORTER": 1, "GAP": 1, "MOVES": 1}
    sessions = [
        flat | {"NOW": 2},
        flat,
        flat | {"SHORTER": 2, "GAP": None, "MOVES": 2},
        flat,
    ]
    assert find_stale(remember(settings, *sessions), closes=3).names == ["NOW"]


def test_a_symbol_is_stale_where_the_lake_begins_with_it(settings: Settings) -> None:
    history = remember(settings, {"A": 1, "B": 1}, {"A": 1, "B": 2})
    assert find_stale(history, closes=2).names == ["A"]
    assert find_stale(history, closes=3).names == []


def test_a_move_is_held_against_the_symbols_own_sessions(settings: Settings) -> None:
    calm, wild = [1.0, 1.01] * 4, [1.0, 3.0] * 4
    sessions = [{"CALM": one, "WILD": other} for one, other in zip(calm, wild, strict=True)]
    history = remember(settings, *sessions, {"CALM": 3.0, "WILD": 1.0})
    found = find_wide_moves(history, sessions=8, deviations=12, floor=0.2, fewest=5)
    assert (found.names, found.of, found.observed) == (["CALM"], 2, "CALM x2.97")
    assert find_wide_moves(history, sessions=8, deviations=12, floor=2.0, fewest=5).names == []
    assert find_wide_moves(history, sessions=4, deviations=12, floor=0.2, fewest=5).names == []


def test_a_session_that_is_not_there(settings: Settings) -> None:
    remember(settings, {"A": 1})
    with pytest.raises(NotFoundError, match="session 2018-06-11 must have bars"):
        read_history(open_bars(settings.lake), DAY + timedelta(days=1), calendar="24/7", closed=True, depth=1)
