"""Each status, at its edges."""

from __future__ import annotations

import pytest

from include.scoring.universe import judge_universe
from tests.include.scoring.cubes import make_cube

LENGTH = 30


@pytest.mark.parametrize(
    ("bars", "status"),
    [
        ("x" * LENGTH, "scored"),
        ("." * 20 + "x" * 10, "scored"),
        ("." * 22 + "x" * 8, "scored"),
        ("." * 23 + "x" * 7, "too_short"),
        ("x" * 20 + "x.x.xxxxxx", "scored"),
        ("x" * 20 + "x.x.x.xxxx", "too_short"),
        ("x" * 29 + ".", "missing"),
        ("x" * 25 + "." * 5, "missing"),
        ("x" * 24 + "." * 6, "stale"),
        ("x" * 10 + "." * 20, "stale"),
        ("x" * 9 + "." * 21, "delisted"),
    ],
)
def test_status_follows_what_was_seen(bars: str, status: str) -> None:
    universe = judge_universe(make_cube({"one": bars}, window=10), newest=LENGTH - 1, lookback=10, quarantined=set())
    assert universe.status.tolist() == [status]
    assert (universe.reason[0] is None) == (status == "scored")


def test_a_refused_row_is_the_reason_before_missing() -> None:
    cube = make_cube({"one": "x" * 29 + ".", "two": "x" * 29 + "."}, window=10)
    universe = judge_universe(cube, newest=LENGTH - 1, lookback=10, quarantined={"two"})
    assert universe.status.tolist() == ["missing", "quarantined"]


def test_a_refused_double_does_not_hide_the_row_that_stands() -> None:
    universe = judge_universe(
        make_cube({"one": "x" * LENGTH}, window=10), newest=LENGTH - 1, lookback=10, quarantined={"one"}
    )
    assert universe.status.tolist() == ["scored"]


def test_every_reason_names_its_own_numbers() -> None:
    rows = {"a": "x" * 29 + ".", "b": "x" * 27 + "...", "c": "." * 25 + "x" * 5, "d": "x" * 29 + ".", "e": "x" * 30}
    universe = judge_universe(make_cube(rows, window=10), newest=LENGTH - 1, lookback=10, quarantined=set())
    assert universe.reason.tolist() == [
        "no row for 1 session(s)",
        "no row for 3 session(s)",
        "5 of the last 10 sessions present, at least 8 are needed",
        "no row for 1 session(s)",
        None,
    ]
