"""Symbol changes held against a plain row-by-row telling of the same rules, and against examples worked by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.lake.identity import NO_CHANGES, SymbolChange, SymbolChanges, apply_changes
from tests.include.lake.rows import bar_row, bar_rows

FIRST = date(2018, 6, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(8)]


def rows_of(*pairs: tuple[str, int], **changed: object) -> pa.Table:
    return bar_rows(bar_row(symbol, DAYS[day], **changed) for symbol, day in pairs)


def read(rows: pa.Table, *lines: SymbolChange, as_of: date = DAYS[-1]) -> list[tuple[str, int, float]]:
    found = apply_changes(rows, SymbolChanges(lines), as_of=as_of).to_pylist()
    return sorted((row["symbol"], (row["session"] - FIRST).days, row["close"]) for row in found)


def change(symbol: str, successor: str, day: int, factor: float = 1.0, volume_in: str = "units") -> SymbolChange:
    return SymbolChange(symbol, successor, DAYS[day], factor, volume_in)


def test_a_rename_moves_the_rows_of_before_and_ends_the_old_name() -> None:
    rows = rows_of(("A", 0), ("A", 1), ("A", 2), ("B", 2))
    assert read(rows, change("A", "B", 2)) == [("B", 0, 1.5), ("B", 1, 1.5), ("B", 2, 1.5)]


def test_a_redenomination_moves_prices_up_and_units_down() -> None:
    # 1000 OLD became one NEW: 0.5 .. 2.0 an OLD and 10,000 OLD traded are 500 .. 2000 a NEW and 10 NEW traded.
    rows = rows_of(("OLD", 0), volume=10_000.0, market_cap=7.0)
    (row,) = apply_changes(rows, SymbolChanges((change("OLD", "NEW", 1, 1000.0),)), as_of=DAYS[1]).to_pylist()
    assert [row[name] for name in ("symbol", "open", "high", "low", "close")] == ["NEW", 1000.0, 2000.0, 500.0, 1500.0]
    assert (row["volume"], row["market_cap"]) == (10.0, 7.0)
    (row,) = apply_changes(rows, SymbolChanges((change("OLD", "NEW", 1, 1000.0, "quote"),)), as_of=DAYS[1]).to_pylist()
    assert (row["close"], row["volume"]) == (1500.0, 10_000.0)


def test_a_split_keeps_the_name() -> None:
    assert read(rows_of(("A", 0), ("A", 1)), change("A", "A", 1, 0.5)) == [("A", 0, 0.75), ("A", 1, 1.5)]


def test_a_chain_multiplies_its_factors() -> None:
    rows = rows_of(("A", 0), ("B", 1), ("C", 2))
    lines = (change("A", "B", 1, 10.0), change("B", "C", 2, 2.0))
    assert read(rows, *lines) == [("C", 0, 30.0), ("C", 1, 3.0), ("C", 2, 1.5)]


def test_nothing_is_known_before_it_happens() -> None:
    rows = rows_of(("A", 0), ("A", 1))
    assert apply_changes(rows, SymbolChanges((change("A", "B", 2),)), as_of=DAYS[1]) is rows


def test_where_both_have_a_row_the_successors_own_stands() -> None:
    rows = pa.concat_tables([rows_of(("A", 0), close=9.0), rows_of(("B", 0), ("B", 1))])
    assert read(rows, change("A", "B", 1)) == [("B", 0, 1.5), ("B", 1, 1.5)]


def test_a_name_that_is_taken_again_has_its_new_owners_rows() -> None:
    rows = rows_of(("A", 0), ("A", 3), ("X", 2), ("A", 5))
    lines = (change("A", "B", 2), change("X", "A", 4))
    # A's row of day 3 belongs to nobody: the name was given up on day 2 and taken again on day 4.
    assert read(rows, *lines) == [("A", 2, 1.5), ("A", 5, 1.5), ("B", 0, 1.5)]


def test_a_rename_that_is_undone() -> None:
    rows = rows_of(("A", 0), ("B", 2), ("A", 4))
    assert read(rows, change("A", "B", 1), change("B", "A", 3)) == [("A", 0, 1.5), ("A", 2, 1.5), ("A", 4, 1.5)]


def test_missing_volume_stays_missing_and_what_is_not_named_stays_as_it_is() -> None:
    rows = pa.concat_tables([rows_of(("A", 0), volume=None), rows_of(("D", 0))])
    found = apply_changes(rows, SymbolChanges((change("A", "B", 1, 3.0),)), as_of=DAYS[1])
    assert found.select(["symbol", "volume"]).to_pylist() == [
        {"symbol": "B", "volume": None},
        {"symbol": "D", "volume": 10.0},
    ]
    assert apply_changes(rows, NO_CHANGES, as_of=DAYS[1]) is rows


def tell(rows: pa.Table, lines: list[SymbolChange]) -> list[tuple[str, int, float]]:
    """The rules once more, a row at a time."""
    best: dict[tuple[str, int], tuple[int, str, float]] = {}
    for row in rows.to_pylist():
        name, factor, hops = row["symbol"], 1.0, 0
        events = [line for line in lines if line.session <= row["session"] and line.symbol != line.successor]
        events = [line for line in events if row["symbol"] in (line.symbol, line.successor)]
        if events and events[-1].symbol == row["symbol"]:
            continue
        for line in lines:
            if row["session"] < line.session and name == line.symbol:
                factor *= line.factor
                hops += line.symbol != line.successor
                name = line.successor
        key = name, (row["session"] - FIRST).days
        best[key] = min(best.get(key, (99, "", 0.0)), (hops, row["symbol"], row["close"] * factor))
    return sorted((*key, close) for key, (_, _, close) in best.items())


names = st.sampled_from("ABCD")


@given(
    st.sets(st.tuples(names, st.integers(0, 7)), min_size=1),
    st.lists(st.tuples(names, names, st.sampled_from([0.5, 2.0])), max_size=6),
    st.randoms(use_true_random=False),
)
def test_it_is_the_row_by_row_telling(pairs: set[tuple[str, int]], wanted: list, random) -> None:
    days = sorted(random.sample(range(8), len(wanted)))
    lines = [
        change(symbol, successor, day, factor) for day, (symbol, successor, factor) in zip(days, wanted, strict=True)
    ]
    rows = pa.concat_tables([rows_of(pair, close=1.0 + random.random()) for pair in sorted(pairs)])
    expected, found = tell(rows, lines), read(rows, *lines)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert len({row[:2] for row in found}) == len(found)
    for got, wanted_row in zip(found, expected, strict=True):
        assert got[2] == pytest.approx(wanted_row[2])


def test_predecessors_are_found_through_a_chain() -> None:
    changes = SymbolChanges((change("A", "B", 1), change("B", "C", 2), change("X", "Y", 3)))
    assert changes.predecessors(["C"]) == {"A", "B", "C"}
