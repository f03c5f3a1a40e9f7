"""A run is read whole or not at all, and any change of it is noticed."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.lake.chain import GENESIS, find_chain_faults
from include.lake.data_files import commit_files
from include.lake.predictions import read_forecasts, read_newest_run
from include.lake.runs import (
    assign_shards,
    commit_run,
    find_newest_run,
    find_run,
    hash_run,
    list_runs,
    write_part,
)
from include.lake.tables import PREDICTIONS, Table, append_rows
from tests.include.lake.rows import forecast_row, forecast_rows, put_forecasts

AS_OF = date(2018, 6, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    rows = [forecast_row(name, target, 1.1, 1.0) for name in "AB" for target in ("open", "close")]
    put_forecasts(tmp_path, rows)
    return tmp_path


def test_forecasts_without_their_row_are_read_by_nobody(lake: Path) -> None:
    table = forecast_rows([forecast_row("A", "open", 9.9, 1.0, run_id="dead")])
    part = write_part(lake, PREDICTIONS, table)
    commit_files(lake, PREDICTIONS, [part.file])
    assert set(read_newest_run(lake, AS_OF)["run_id"].to_pylist()) == {"first"}
    assert find_run(lake, "dead") is None


def test_a_run_committed_twice_is_there_once(lake: Path) -> None:
    run = list_runs(lake)[-1]
    assert run is not None
    part = write_part(lake, PREDICTIONS, read_forecasts(lake, run).sort_by("symbol"))
    assert commit_run(lake, replace(run, hash=""), [part]) == run
    assert read_forecasts(lake, run).num_rows == 4


def test_the_chain_notices_a_change_a_gap_and_a_swap(lake: Path) -> None:
    for number in range(3):
        put_forecasts(lake, [forecast_row("A", "open", 1.0, 1.0, run_id=f"run {number}")])
    rows = [asdict(run) for run in list_runs(lake)]
    assert rows[0]["previous_hash"] == GENESIS
    assert find_chain_faults(rows, noun="run") == []
    changed = [*rows[:1], rows[1] | {"model_version": 9}, *rows[2:]]
    assert find_chain_faults(changed, noun="run") == ["run 2 was changed after it was written"]
    assert any(
        "run 2 must come where run 3 does" in said for said in find_chain_faults(rows[:1] + rows[2:], noun="run")
    )
    assert find_chain_faults([rows[1], rows[0], *rows[2:]], noun="run")


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("column", ["predicted", "status", "reason", "symbol", "last_close"])
def test_the_smallest_change_of_a_forecast_changes_the_hash(column: str, shards: int) -> None:
    rows = [forecast_row(name, target, 1.1, 1.0) for name in ("A", "BB", "Ü") for target in ("open", "close")]
    spoilt = [dict(row) for row in rows]
    value = spoilt[3][column]
    spoilt[3][column] = value * (1 + 2**-52) if isinstance(value, float) else "other"
    assert hash_run(forecast_rows(rows), shards) == hash_run(forecast_rows(rows[::-1]), shards)
    assert hash_run(forecast_rows(rows), shards) != hash_run(forecast_rows(spoilt), shards)


def test_null_is_not_zero_and_text_does_not_run_over() -> None:
    def hashed(**changed: object) -> str:
        return hash_run(forecast_rows([forecast_row("A", "open", 0.0, 1.0) | changed]), 1)

    assert hashed() != hashed(predicted=None)
    assert hashed(symbol="AB", reason="C") != hashed(symbol="A", reason="BC")


def test_shards_are_by_name_alone() -> None:
    names = [f"S{number:04}" for number in range(4000)]
    shards = assign_shards(names, 4)
    assert shards.tolist() == assign_shards(names[::-1], 4).tolist()[::-1]
    assert all(900 < (shards == shard).sum() < 1100 for shard in range(4))
    assert assign_shards(["Bitcoin"], 4).tolist() == [2]


def test_runs_that_end_at_once_are_both_there_and_one_is_the_newest(lake: Path) -> None:
    def put(name: str) -> None:
        put_forecasts(lake, [forecast_row("A", "open", 1.0, 1.0, run_id=name)])

    threads = [threading.Thread(target=put, args=(f"at once {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = list_runs(lake)
    assert [run.sequence for run in runs] == [1, 2, 3, 4, 5]
    assert find_chain_faults([asdict(run) for run in runs], noun="run") == []
    assert find_newest_run(lake, AS_OF) == runs[-1]
    assert find_newest_run(lake, AS_OF + timedelta(days=1)) is None


def test_a_table_from_before_a_column_was_known_gets_it(tmp_path: Path) -> None:
    old = Table("predictions", pa.schema([f for f in PREDICTIONS.schema if f.name != "volatility"]), partition="as_of")
    rows = forecast_rows([forecast_row("A", "open", 1.0, 1.0, run_id="old")]).drop_columns(["volatility"])
    append_rows(tmp_path, old, rows)
    put_forecasts(tmp_path, [forecast_row("A", "open", 2.0, 1.0, volatility=0.5)])
    assert read_newest_run(tmp_path, AS_OF)["volatility"].to_pylist() == [0.5]
