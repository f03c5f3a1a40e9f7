"""Rows in memory and beyond it: the same groups either way, by session, in the file's order, nothing left behind."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import InputError, UnavailableError
from include.schema import WINDOW_COLUMNS
from include.uploads import row_store
from include.uploads.row_store import CODED_BARS, CODED_REFUSED, REFUSED, UPLOAD_BARS, BarStore, RefusedStore

SYMBOLS = pa.array(["B", "A", "é"])
DAYS = np.array([17_002, 17_000, 17_001, 17_000], np.int32)
"""Day of each date code; two texts may be one day."""


def blocks_of(codes: list[int], rows_a_block: int) -> list[pa.RecordBatch]:
    numbers = np.arange(len(codes))
    columns = [numbers + 1, (numbers % 3).astype(np.int32), np.array(codes, np.int32)]
    columns += [numbers / (place + 1) for place, _ in enumerate(WINDOW_COLUMNS)]
    batch = pa.record_batch([pa.array(column) for column in columns], schema=CODED_BARS)
    return [batch.slice(start, rows_a_block) for start in range(0, len(codes), rows_a_block)]


def fill(codes: list[int], *, rows_a_block: int = 3, budget_bytes: int = 1 << 20) -> BarStore:
    store = BarStore(budget_bytes=budget_bytes)
    for batch in blocks_of(codes, rows_a_block):
        store.append(batch)
    store.settle(SYMBOLS, DAYS, "day.csv")
    return store


def expected_groups(codes: list[int], max_rows: int) -> list[list[tuple[int, int]]]:
    """Worked out row by row: (session, row number), whole sessions while they fit."""
    rows = sorted((int(DAYS[code]), number) for number, code in enumerate(codes, 1))
    groups: list[list[tuple[int, int]]] = []
    for day in sorted({day for day, _ in rows}):
        session = [row for row in rows if row[0] == day]
        if groups and len(groups[-1]) + len(session) <= max_rows:
            groups[-1] += session
        else:
            groups.append(session)
    return groups


def keys_of(group: pa.Table) -> list[tuple[int, int]]:
    days = group["session"].cast(pa.int32()).to_pylist()
    return list(zip(days, group["row_number"].to_pylist(), strict=True))


CODES = st.lists(st.integers(0, 3), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(CODES, st.integers(1, 12), st.sampled_from([0, 300, 1 << 20]), st.integers(1, 7), st.booleans())
def test_groups_are_whole_sessions_in_order(
    codes: list[int], max_rows: int, budget_bytes: int, rows_a_block: int, is_sorted: bool
) -> None:
    if is_sorted:
        codes = sorted(codes, key=lambda code: int(DAYS[code]))
    with fill(codes, rows_a_block=rows_a_block, budget_bytes=budget_bytes) as store:
        for _ in range(2):  # a second reading gives the same
            assert [keys_of(group) for group in store.groups(max_rows)] == expected_groups(codes, max_rows)
        assert [day.toordinal() for day in store.sessions()] == [
            719_163 + day for day in sorted({int(DAYS[code]) for code in codes})
        ]
        table = store.to_table()
        assert table["row_number"].to_pylist() == list(range(1, len(codes) + 1))
        assert table.schema == UPLOAD_BARS


def test_rows_keep_their_cells_through_file_and_sorting() -> None:
    codes = [0, 1, 2, 3, 1, 0]
    with fill(codes) as kept, fill(codes, budget_bytes=0) as spilled:
        first, second = pa.concat_tables(kept.groups(2)), pa.concat_tables(spilled.groups(2))
        assert first.unify_dictionaries().equals(second.unify_dictionaries())
        assert first.column_names == UPLOAD_BARS.names
        assert first["symbol"].type == pa.dictionary(pa.int32(), pa.string())
        by_number = {row["row_number"]: row for row in second.to_pylist()}
        assert [by_number[number]["symbol"] for number in range(1, 7)] == ["B", "A", "é"] * 2
        assert [by_number[number]["volume"] for number in range(1, 7)] == [number / 5 for number in range(6)]
        assert by_number[3]["session"] == date(1970, 1, 1) + (date(2016, 7, 19) - date(1970, 1, 1))


def test_a_large_store_out_of_order_is_sorted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "_PIECE_ROWS", 16)
    codes = np.random.default_rng(3).integers(0, 4, 500).tolist()
    with fill(codes, rows_a_block=37, budget_bytes=2000) as store:
        assert [keys_of(group) for group in store.groups(10)] == expected_groups(codes, 10)


def test_dates_that_change_with_every_row_are_still_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "_MAX_RUNS", 2)
    codes = [1, 2, 0, 1, 2, 0]
    with fill(codes, rows_a_block=6) as store:
        assert [keys_of(group) for group in store.groups(1)] == expected_groups(codes, 1)


def test_a_session_of_more_rows_than_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "SESSION_ROWS", 3)
    with pytest.raises(InputError, match=r"at most 3 rows a session. Received: 4 of 2016-07-18 .in day\.csv"):
        fill([1, 3, 1, 3])  # two texts of one day


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    store = BarStore(tmp_path / "scratch", budget_bytes=0)
    for batch in blocks_of([0, 1, 0], 1):
        store.append(batch)
    store.settle(SYMBOLS, DAYS, "day.csv")
    assert len(list(store.groups(1))) == 2
    assert list((tmp_path / "scratch").iterdir()) == []
    store.close()


def test_a_scratch_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = BarStore(tmp_path / "file", budget_bytes=0)
    with pytest.raises(UnavailableError, match="need room in a scratch folder"):
        store.append(blocks_of([0], 1)[0])


@pytest.mark.parametrize("budget_bytes", [0, 1 << 20])
def test_refused_rows_keep_their_order_and_get_their_session(budget_bytes: int) -> None:
    rows = [
        {"row_number": 2, "symbol": None, "date": -1, "expectation": "e", "reason": "r", "raw": "{}"},
        {"row_number": 5, "symbol": "A", "date": 1, "expectation": "e", "reason": "r", "raw": "{}"},
    ]
    with RefusedStore(budget_bytes=budget_bytes) as store:
        for row in rows:
            store.append(pa.RecordBatch.from_pylist([row], CODED_REFUSED))
        store.settle(DAYS)
        assert store.num_rows == 2
        found = store.to_table()
    assert found.schema == REFUSED
    assert found["row_number"].to_pylist() == [2, 5]
    assert found["session"].to_pylist() == [None, date(2016, 7, 18)]
    assert list(RefusedStore().batches()) == []
