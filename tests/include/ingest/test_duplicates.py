"""The rule for a symbol and session that come more than once, against a slow version of it in plain Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ingest.duplicates import Split, split_duplicates
from include.schema import WINDOW_COLUMNS
from include.uploads.rows import UPLOAD_BARS

Row = dict[str, object]

prices = st.sampled_from([1.0, 1.5])
optional = st.sampled_from([None, 0.0, 5.0, 1e9])
rows = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["B", "A", "AA", "é"]),
        "session": st.sampled_from([date(2018, 6, 2), date(2018, 6, 1)]),
        "open": prices,
        "high": st.just(2.0),
        "low": st.just(0.5),
        "close": prices,
        "volume": optional,
        "market_cap": optional,
    }
)


@st.composite
def uploads(draw: st.DrawFn) -> list[Row]:
    """Rows in any order, numbered as they were in the file."""
    found = draw(st.lists(rows, max_size=14))
    numbers = draw(st.permutations(range(1, len(found) + 1)))
    return [{"row_number": number, **row} for number, row in zip(numbers, found, strict=True)]


def numbers_of(row: Row) -> list[object]:
    return [row[name] for name in WINDOW_COLUMNS]


def decide_slowly(found: list[Row]) -> tuple[list[int], set[int], set[int]]:
    groups: dict[tuple[date, str], list[int]] = defaultdict(list)
    for position, row in enumerate(found):
        groups[row["session"], row["symbol"]].append(position)
    kept, exact, conflicting = [], set(), set()
    for _, group in sorted(groups.items()):

        def preference(position: int) -> tuple[int, float, int]:
            row = found[position]
            volume = -1.0 if row["volume"] is None else row["volume"]
            return numbers_of(row).count(None), -volume, row["row_number"]

        winner = min(group, key=preference)
        kept.append(winner)
        for position in set(group) - {winner}:
            same = numbers_of(found[position]) == numbers_of(found[winner])
            (exact if same else conflicting).add(position)
    return kept, exact, conflicting


def as_sets(split: Split) -> tuple[list[int], set[int], set[int]]:
    return split.kept.tolist(), set(split.exact.tolist()), set(split.conflicting.tolist())


@settings(max_examples=200, deadline=None)
@given(uploads())
def test_rule_holds_for_any_rows(found: list[Row]) -> None:
    split = split_duplicates(pa.Table.from_pylist(found, UPLOAD_BARS))
    assert as_sets(split) == decide_slowly(found)
    assert len(split.kept) + len(split.exact) + len(split.conflicting) == len(found)


def test_rows_of_several_chunks_are_one_file() -> None:
    row = {"symbol": "A", "session": date(2018, 6, 1), **dict.fromkeys(WINDOW_COLUMNS, 1.0)}
    chunks = [pa.Table.from_pylist([{"row_number": number, **row}], UPLOAD_BARS) for number in (1, 2, 3)]
    assert as_sets(split_duplicates(pa.concat_tables(chunks))) == ([0], {1, 2}, set())
