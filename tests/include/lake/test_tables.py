"""The two writes, versions, and reads that open only the files they need."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.errors import NotFoundError
from include.lake.files import list_sessions
from include.lake.reads import read_all, read_partitions, read_where
from include.lake.tables import (
    BARS,
    PROMOTIONS,
    QUARANTINE,
    append_rows,
    lock_lake,
    open_table,
    replace_partitions,
    table_version,
)
from tests.include.lake.rows import MOMENT, bar_row, bar_rows

DAYS = [date(2018, 5, 30) + timedelta(days=number) for number in range(4)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Four sessions of two symbols, the newest committed first."""
    for day in reversed(DAYS):
        append_rows(tmp_path, BARS, bar_rows(bar_row(symbol, day) for symbol in "AB"))
    return tmp_path


def content(lake: Path, *, version: int | None = None) -> set[tuple[date, str, float]]:
    rows = read_partitions(open_table(lake, BARS, version=version), "session", DAYS).to_pylist()
    found = [(row["session"], row["symbol"], row["close"]) for row in rows]
    assert len(found) == len(set(found))
    return set(found)


def test_every_commit_is_a_version_that_stays_readable(lake: Path) -> None:
    assert table_version(lake, BARS) == 3
    assert {day for day, _, _ in content(lake, version=1)} == set(DAYS[2:])


def test_replace_changes_the_named_partitions_and_no_other_in_one_commit(lake: Path) -> None:
    before = content(lake)
    version = replace_partitions(lake, BARS, bar_rows([bar_row("C", DAYS[1], close=1.9)]), DAYS[1:3])
    assert version == 4 == table_version(lake, BARS)
    # The third day was named too and has no rows any more.
    assert content(lake) == {row for row in before if row[0] in (DAYS[0], DAYS[3])} | {(DAYS[1], "C", 1.9)}
    assert content(lake, version=3) == before


def test_replace_begins_a_table_that_is_not_there(tmp_path: Path) -> None:
    assert replace_partitions(tmp_path, BARS, bar_rows([bar_row("A", DAYS[0])]), DAYS[:1]) == 0
    assert content(tmp_path) == {(DAYS[0], "A", 1.5)}


def test_replace_by_text_partitions(tmp_path: Path) -> None:
    def refused(sha256: str, number: int) -> pa.Table:
        words = dict.fromkeys(["expectation", "reason", "raw"], "x")
        row = {"upload_sha256": sha256, "row_number": number, **words, "quarantined_at": MOMENT}
        return pa.Table.from_pylist([row], QUARANTINE.schema)

    for sha256, number in (("aa", 1), ("bb", 2), ("aa", 3)):
        replace_partitions(tmp_path, QUARANTINE, refused(sha256, number), [sha256])
    assert sorted(read_all(tmp_path, QUARANTINE)["row_number"].to_pylist()) == [2, 3]


def test_partitions_are_listed_oldest_first_once_each(lake: Path) -> None:
    append_rows(lake, BARS, bar_rows([bar_row("Z", DAYS[0])]))
    assert list_sessions(open_table(lake, BARS)) == DAYS


def test_a_read_opens_only_the_files_of_its_sessions(lake: Path) -> None:
    for day in DAYS[:2]:
        for file in (lake / "bars" / f"session={day}").iterdir():
            file.unlink()
    bars = open_table(lake, BARS)
    rows = read_partitions(bars, "session", DAYS[2:])
    assert set(rows["session"].to_pylist()) == set(DAYS[2:])
    with pytest.raises(FileNotFoundError):
        read_partitions(bars, "session", DAYS[:1])


def test_a_read_gives_the_wanted_columns_in_their_order(lake: Path) -> None:
    columns = ["close", "session", "symbol"]
    for days in (DAYS[:1], [date(2017, 1, 1)], []):
        rows = read_partitions(open_table(lake, BARS), "session", days, columns=columns)
        assert rows.column_names == columns
        assert rows.schema.field("symbol").type == pa.dictionary(pa.int32(), pa.string())
        assert rows.num_rows == (2 if days == DAYS[:1] else 0)


def test_files_from_before_a_column_have_null_in_it(tmp_path: Path) -> None:
    younger = replace(BARS, schema=BARS.schema.append(pa.field("tag", pa.string())))
    append_rows(tmp_path, BARS, bar_rows([bar_row("A", DAYS[0])]))
    added = bar_rows([bar_row("B", DAYS[1])]).append_column("tag", pa.array(["new"]))
    append_rows(tmp_path, younger, added)
    opened = open_table(tmp_path, BARS)
    for days, expected in ((DAYS[:1], {"A": None}), (DAYS[:2], {"A": None, "B": "new"})):
        by_session = read_partitions(opened, "session", days)
        by_symbol = read_where(opened, "symbol", "A", max(expected))
        for rows in (by_session, by_symbol):
            assert dict(zip(rows["symbol"].to_pylist(), rows["tag"].to_pylist(), strict=True)) == expected
        assert pa.types.is_dictionary(by_session["symbol"].type)


def test_a_table_that_was_never_written(tmp_path: Path) -> None:
    assert table_version(tmp_path, BARS) is None
    assert read_all(tmp_path, PROMOTIONS, columns=["who"]).to_pydict() == {"who": []}
    with pytest.raises(NotFoundError, match="table bars must have been written"):
        open_table(tmp_path, BARS)


def test_a_version_that_is_not_there(lake: Path) -> None:
    with pytest.raises(NotFoundError, match=r"table bars must have this version\. Received: 99"):
        open_table(lake, BARS, version=99)


def test_a_row_without_what_the_schema_demands_is_not_written(lake: Path) -> None:
    with pytest.raises(ValueError, match="non-nullable"):
        append_rows(lake, BARS, pa.Table.from_pylist([bar_row("A", DAYS[0]) | {"open": None}]))
    assert table_version(lake, BARS) == 3


def test_the_lock_lets_one_in(tmp_path: Path) -> None:
    with lock_lake(tmp_path / "new"), pytest.raises(TimeoutError):
        lock_lake(tmp_path / "new").acquire(timeout=0.05)
