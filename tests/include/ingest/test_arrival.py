"""What counts as a session that is here."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import pytest

from include.ingest.arrival import is_in_lake, is_session_here
from include.ingest.ingest import ingest_upload
from include.settings import Settings

HEADER = "symbol,date,open,high,low,close\n"
FRIDAY, SATURDAY, SUNDAY = date(2018, 6, 1), date(2018, 6, 2), date(2018, 6, 3)


def write(path: Path, rows: dict[date, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"S{number},{day},1,2,0.5,1.5\n" for day, count in rows.items() for number in range(count)]
    path.write_text(HEADER + "".join(lines))
    return path


def test_an_upload_in_the_inbox_is_enough(settings: Settings) -> None:
    assert not is_session_here(settings, FRIDAY)
    write(settings.inbox / "2018-06-01.csv", {FRIDAY: 1})
    assert is_session_here(settings, FRIDAY)
    assert not is_session_here(settings, SATURDAY)


@pytest.mark.parametrize(("rows", "here"), [(1, False), (4, False), (5, True), (10, True)])
def test_the_lake_has_a_session_that_is_half_as_large_as_the_one_before(
    settings: Settings, tmp_path: Path, rows: int, here: bool
) -> None:
    ingest_upload(settings, write(tmp_path / "a.csv", {FRIDAY: 10, SATURDAY: rows}))
    assert is_session_here(settings, SATURDAY) is here


def test_the_first_session_of_the_lake_has_none_before(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "a.csv", {SATURDAY: 1, SUNDAY: 10}))
    assert is_in_lake(settings.lake, SATURDAY)
    assert not is_in_lake(settings.lake, FRIDAY)


def test_an_upload_that_completes_a_session_is_seen(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "a.csv", {FRIDAY: 10, SATURDAY: 1}))
    assert not is_in_lake(settings.lake, SATURDAY)
    ingest_upload(settings, write(tmp_path / "b.csv", {SATURDAY: 10}))
    assert is_in_lake(settings.lake, SATURDAY)


def test_files_that_no_commit_knows_do_not_count(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "a.csv", {FRIDAY: 10}))
    orphan = settings.lake / "bars" / "session=2018-06-02" / "part-0.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(next((settings.lake / "bars").rglob("*.parquet")).read_bytes())
    assert not is_session_here(settings, SATURDAY)


def test_a_look_a_second_costs_next_to_nothing(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "a.csv", {FRIDAY: 10}))
    is_session_here(settings, SATURDAY)
    began = time.process_time()
    for _ in range(100):
        is_session_here(settings, SATURDAY)
    assert (time.process_time() - began) / 100 < 0.005
