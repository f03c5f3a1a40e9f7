"""What files of a table give: symbols by a dictionary that files alike share."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from include.lake.bars import open_bars
from include.lake.files import choose_sessions, read_files
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 6, day) for day in range(1, 5)]
NAMES = [["A", "B"], ["A", "B"], ["B", "C"], ["A", "B"]]


def read_symbols(lake: Path, *columns: str, symbols: pa.Array | None = None) -> list[pa.Table]:
    paths = [path for _, path in choose_sessions(open_bars(lake), DAYS)]
    return read_files(paths, columns, symbols=symbols)


def test_each_file_has_its_own_symbols(tmp_path: Path) -> None:
    for day, names in zip(DAYS, NAMES, strict=True):
        put_bars(tmp_path, bar_rows(bar_row(name, day) for name in names))
    parts = read_symbols(tmp_path, "close", "symbol")
    assert [part.column_names for part in parts] == [["close", "symbol"]] * 4
    assert [part["symbol"].to_pylist() for part in parts] == NAMES
    kept = [part["symbol"].chunk(0).dictionary.buffers()[2].address for part in parts]
    assert kept[0] == kept[1]
    assert len(set(kept)) == 3
    chosen = read_symbols(tmp_path, "symbol", symbols=pa.array(["B", "nosuch"]))
    assert [part["symbol"].to_pylist() for part in chosen] == [["B"]] * 4
    assert [part.column_names for part in read_symbols(tmp_path, "close")] == [["close"]] * 4
