"""Listings against a count of the rows, at several sessions and versions, whatever blocks there are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from include.errors import NotFoundError
from include.lake import listings
from include.lake.identity import SymbolChange, SymbolChanges
from include.lake.listings import BLOCKS, list_symbols
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2016, 11, 20) + timedelta(days=9 * number) for number in range(60)]


def pairs() -> list[tuple[str, date]]:
    seen = {"A": DAYS, "B": DAYS[:7], "C": DAYS[50:], "D": [DAYS[0], DAYS[-1]], "é": DAYS[3:4]}
    return [(symbol, day) for symbol, days in seen.items() for day in days]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    put_bars(tmp_path, bar_rows(bar_row(*pair) for pair in pairs()))
    return tmp_path


def count(as_of: date, *extra: tuple[str, date]) -> list[dict[str, object]]:
    frame = pd.DataFrame([*pairs(), *extra], columns=["symbol", "session"])
    found = frame[frame["session"] <= as_of].groupby("symbol")["session"].agg(["min", "max", "count"])
    keys = ("symbol", "first_session", "last_session", "sessions", "successor")
    ordered = sorted(found.itertuples(), key=lambda row: row[0].encode())
    return [dict(zip(keys, (*row, None), strict=True)) for row in ordered]


@pytest.mark.parametrize("day", [DAYS[0], DAYS[6], DAYS[7] - timedelta(days=1), DAYS[45], DAYS[-1], date(2030, 1, 1)])
def test_it_is_the_count_of_the_rows_up_to_the_session(lake: Path, day: date) -> None:
    assert list_symbols(lake, day).to_pylist() == count(day)
    assert list_symbols(lake, day).to_pylist() == count(day)  # from blocks now


def test_past_months_and_years_are_not_read_again(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_symbols(lake, DAYS[-1])
    read: list[Path] = []
    whole = listings.read_files
    monkeypatch.setattr(listings, "read_files", lambda paths, columns: read.extend(paths) or whole(paths, columns))
    list_symbols(lake, DAYS[-1])
    assert {path.parent.name[:15] for path in read} == {f"session={DAYS[-1]:%Y-%m}"}


def test_a_correction_of_a_past_month_is_seen_and_the_older_version_keeps_its_own(lake: Path) -> None:
    assert list_symbols(lake, DAYS[-1]).to_pylist() == count(DAYS[-1])
    before = [bar_row(symbol, day) for symbol, day in pairs() if day == DAYS[2]]
    put_bars(lake, bar_rows([*before, bar_row("N", DAYS[2])]), replacing=True)
    assert list_symbols(lake, DAYS[-1]).to_pylist() == count(DAYS[-1], ("N", DAYS[2]))
    assert list_symbols(lake, DAYS[-1], version=0).to_pylist() == count(DAYS[-1])


def test_blocks_are_made_again_and_a_half_written_one_is_passed_over(lake: Path) -> None:
    list_symbols(lake, DAYS[-1])
    blocks = sorted((lake / BLOCKS).iterdir())
    assert len(blocks) > 3
    (lake / BLOCKS / f".{blocks[0].name}.123").write_bytes(b"PAR1")
    blocks[0].unlink()
    assert list_symbols(lake, DAYS[-1]).to_pylist() == count(DAYS[-1])
    assert blocks[0].exists()


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Give a function after which this process has the rights of no one special; root writes every folder."""
    me = os.geteuid()
    yield lambda: os.seteuid(65534) if me == 0 else None
    os.seteuid(me)


@pytest.mark.parametrize("with_blocks", [False, True])
def test_a_lake_that_may_only_be_read_is_listed(with_blocks: bool, as_nobody: Callable[[], None]) -> None:
    with tempfile.TemporaryDirectory() as name:  # not below pytest's own folder, which no other user may enter
        lake = Path(name)
        put_bars(lake, bar_rows(bar_row(*pair) for pair in pairs()))
        if with_blocks:
            list_symbols(lake, DAYS[-1])
        for path in (lake, *lake.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        as_nobody()
        assert list_symbols(lake, DAYS[-1]).to_pylist() == count(DAYS[-1])
        assert (lake / BLOCKS).exists() is with_blocks
        os.seteuid(os.getuid())
        for path in (lake, *(path for path in lake.rglob("*") if path.is_dir())):
            path.chmod(0o755)


def test_a_name_that_was_given_up_says_what_it_became(lake: Path) -> None:
    changes = SymbolChanges((SymbolChange("B", "Z", DAYS[7]), SymbolChange("A", "A", DAYS[8], 0.5)))
    said = {row["symbol"]: row["successor"] for row in list_symbols(lake, DAYS[-1], changes=changes).to_pylist()}
    assert said == {"A": None, "B": "Z", "C": None, "D": None, "é": None}
    assert set(list_symbols(lake, DAYS[6], changes=changes)["successor"].to_pylist()) == {None}


def test_before_the_first_session(lake: Path) -> None:
    with pytest.raises(NotFoundError, match="session 2016-01-01 or one before it must have bars"):
        list_symbols(lake, date(2016, 1, 1))
