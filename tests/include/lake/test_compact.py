"""Merging changes files and no row, and every earlier version stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.lake.asof import bars_as_of
from include.lake.catalog import committed_state, open_committed, read_operations
from include.lake.compact import SMALL_FILES, compact_small, compact_table, plan_compaction
from include.lake.reads import list_files, read_all
from include.lake.tables import BARS, PREDICTIONS, PROMOTIONS, UPLOADS, append_rows, open_table, table_version
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import MOMENT, bar_row, bar_rows, forecast_row, forecast_rows

DAYS = [date(2018, 6, 1) + timedelta(days=number) for number in range(3)]


def promotion(number: int) -> pa.Table:
    row = {"at": MOMENT, "model_name": "m", "from_version": None, "to_version": number, "action": "promote"}
    chain = {"sequence": number, "request": str(number), "previous_hash": "", "hash": ""}
    return pa.Table.from_pylist([row | {"who": "me", "why": "x"} | chain], PROMOTIONS.schema)


def promoted(lake: Path) -> list[int]:
    return sorted(read_all(lake, PROMOTIONS)["to_version"].to_pylist())


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for number in range(SMALL_FILES):
        append_rows(tmp_path, PROMOTIONS, promotion(number))
    return tmp_path


def test_a_small_table_is_merged_when_it_has_many_files(many: Path) -> None:
    assert not compact_small(many, UPLOADS)  # is not there
    assert compact_small(many, PROMOTIONS)
    opened = open_table(many, PROMOTIONS)
    assert list_files(opened).num_rows == 1
    assert list_files(opened)["max.to_version"].to_pylist() == [SMALL_FILES - 1]
    assert promoted(many) == list(range(SMALL_FILES))
    assert not compact_small(many, PROMOTIONS)
    assert open_table(many, PROMOTIONS, version=SMALL_FILES - 2).to_pyarrow_table().num_rows == SMALL_FILES - 1


def test_many_that_merge_and_append_at_once_lose_and_double_nothing(many: Path) -> None:
    def work(number: int) -> None:
        append_rows(many, PROMOTIONS, promotion(1000 + number)) if number % 2 else compact_small(many, PROMOTIONS)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(8)))
    assert promoted(many) == [*range(SMALL_FILES), 1001, 1003, 1005, 1007]


def test_merging_the_catalog_keeps_what_is_committed(tmp_path: Path) -> None:
    for day in DAYS:
        put_bars(tmp_path, bar_rows([bar_row("A", day)]))
    state, operations = committed_state(tmp_path), read_operations(tmp_path)
    assert compact_table(tmp_path, UPLOADS).files == 3
    assert committed_state(tmp_path) == state
    assert read_operations(tmp_path) == operations


def test_a_session_in_several_files_becomes_one_sorted_by_symbol(tmp_path: Path) -> None:
    put_bars(tmp_path, bar_rows(bar_row(symbol, day) for day in DAYS for symbol in "BD"))
    put_bars(tmp_path, bar_rows([bar_row("C", DAYS[1]), bar_row("A", DAYS[1])]))
    before = sorted(bars_as_of(tmp_path).to_pylist(), key=lambda row: (row["session"], row["symbol"]))
    planned = plan_compaction(tmp_path, BARS)
    assert (planned.partitions, planned.files) == (1, 2)
    assert compact_table(tmp_path, BARS) == planned
    opened = open_committed(tmp_path, BARS)
    assert opened.version() == committed_state(tmp_path).bars + 1 == table_version(tmp_path, BARS)
    assert list_files(opened).num_rows == 3
    assert bars_as_of(tmp_path).to_pylist() == before
    assert [bars_as_of(tmp_path, version=version).num_rows for version in (0, 1)] == [6, 8]
    assert compact_table(tmp_path, BARS).files == 0
    assert table_version(tmp_path, BARS) == 2


def test_runs_of_a_session_are_merged_and_single_files_left(tmp_path: Path) -> None:
    for run in ("first", "second"):
        append_rows(tmp_path, PREDICTIONS, forecast_rows([forecast_row("A", "open", 1.0, 1.0, run_id=run)]))
    later = forecast_row("A", "open", 1.0, 1.0, as_of=DAYS[1])
    append_rows(tmp_path, PREDICTIONS, forecast_rows([later]))
    alone = [path.name for path in (tmp_path / "predictions" / f"as_of={DAYS[1]}").iterdir()]
    assert compact_table(tmp_path, PREDICTIONS).files == 2
    opened = open_table(tmp_path, PREDICTIONS)
    assert list_files(opened).num_rows == 2
    assert any(path.endswith(alone[0]) for path in opened.file_uris())
    assert sorted(read_all(tmp_path, PREDICTIONS)["run_id"].to_pylist()) == ["first", "first", "second"]
