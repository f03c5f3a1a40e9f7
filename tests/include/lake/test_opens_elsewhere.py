"""The lake opens without this project: the document's own snippets, and other engines held against our reads."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from include.lake.asof import bars_as_of
from include.lake.tables import BARS, append_rows
from include.schema import BARS as SCHEMA
from include.settings import PROJECT_ROOT
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 5, 31) + timedelta(days=number) for number in range(3)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three sessions, one corrected, one dead commit after it."""
    folder = tmp_path / "home" / ".closecast" / "lake"
    put_bars(folder, bar_rows(bar_row(symbol, day) for day in DAYS for symbol in ("a", "é")))
    put_bars(folder, bar_rows([bar_row("a", DAYS[1], close=1.75, volume=None)]), replacing=True)
    append_rows(folder, BARS, bar_rows([bar_row("dead", DAYS[1])]))
    return folder


def ours(lake: Path, version: int) -> list[dict[str, Any]]:
    rows = bars_as_of(lake, version=version).to_pylist()
    return sorted(rows, key=lambda row: (row["session"], row["symbol"]))


@pytest.mark.parametrize("version", [0, 1])
def test_polars_reads_what_we_read(lake: Path, version: int) -> None:
    found = pl.read_delta(str(lake / "bars"), version=version).sort("session", "symbol")
    assert found.select(SCHEMA.names).to_dicts() == ours(lake, version)


@pytest.mark.parametrize("version", [0, 1])
def test_duckdb_reads_what_we_read(lake: Path, version: int) -> None:
    files = DeltaTable(str(lake / "bars"), version=version).file_uris()
    found = duckdb.sql(
        f"SELECT {', '.join(SCHEMA.names)} FROM read_parquet($files, hive_partitioning = true,"
        " hive_types = {'session': DATE}) ORDER BY session, symbol",
        params={"files": files},
    )
    assert found.to_arrow_table().cast(SCHEMA).to_pylist() == ours(lake, version)


def test_the_documents_snippets_run(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (PROJECT_ROOT / "docs/lake.md").read_text(), re.DOTALL | re.MULTILINE)
    run = [block for block in blocks if not block.startswith("# Needs")]
    assert (len(blocks), len(run)) == (7, 5)
    monkeypatch.chdir(lake.parent.parent)
    said: dict[str, Any] = {}
    exec("\n".join(run), said)
    assert said["version"] == said["known"] == 1
    assert said["day"][["symbol", "close"]].values.tolist() == [["a", 1.75]]
    assert len(said["first"]) == len(said["before"]) == 6
    assert said["moves"]["session"].to_list() == DAYS[1:]
    assert said["turnover"] == [(DAYS[0], 2, 20.0), (DAYS[1], 1, None), (DAYS[2], 2, 20.0)]
