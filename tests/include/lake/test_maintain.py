"""What may go, goes; what a version of the audit window needs, stays; a dry run changes nothing."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from include.errors import ClosecastError, NotFoundError
from include.lake.asof import bars_as_of
from include.lake.maintain import bound_clock, maintain_lake
from include.lake.tables import BARS, append_rows, table_version
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 6, 1) + timedelta(days=number) for number in range(2)]
NOW = datetime.now(UTC)


@pytest.fixture
def home(settings: Settings) -> Settings:
    """Bars whose first session was corrected twice: versions 0, 1, 2."""
    for close in (1.5, 1.6, 1.7):
        rows = bar_rows(bar_row("A", day, close=close) for day in DAYS[: 2 if close == 1.5 else 1])
        put_bars(settings.lake, rows, replacing=close != 1.5)
    return settings


def age(path: Path, days: float) -> Path:
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def closes(home: Settings, version: int) -> list[float]:
    return bars_as_of(home.lake, version=version, sessions=DAYS[:1])["close"].to_pylist()


def set_time(home: Settings, version: int, at: datetime) -> None:
    """Let the log of bars say that a version was committed then."""
    log = home.lake / "bars" / "_delta_log" / f"{version:020d}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "commitInfo" in line:
            line["commitInfo"]["timestamp"] = int(at.timestamp() * 1000)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".lock" not in path.name}


def test_the_window_keeps_every_version_in_it(home: Settings) -> None:
    report = maintain_lake(home, now=NOW + timedelta(days=399))
    assert report.removals == []
    assert [closes(home, version) for version in range(3)] == [[1.5], [1.6], [1.7]]


def test_beyond_the_window_only_the_version_in_force_stays(home: Settings) -> None:
    later = datetime.now(UTC) + timedelta(days=401)
    planned = maintain_lake(home, dry_run=True, now=later).removals
    assert [removal.area for removal in planned] == ["bars", "bars"]
    assert {"no version since" in removal.why for removal in planned} == {True}
    report = maintain_lake(home, now=later)
    assert [removal for removal in report.removals if removal.area == "bars"] == planned
    assert closes(home, 2) == [1.7]
    assert bars_as_of(home.lake)["close"].to_pylist() == [1.7, 1.5]
    with pytest.raises(NotFoundError, match="audit_window_days"):
        closes(home, 0)
    assert maintain_lake(home, dry_run=True, now=later).removals == []


def test_a_clock_that_is_far_ahead_of_the_uploads_removes_no_history(settings: Settings) -> None:
    # The uploads came long before what the clock of this machine says, which is thereby ahead of them.
    for version, (days, close) in enumerate(((1200, 1.5), (1001, 1.6), (1000, 1.7))):
        at = NOW - timedelta(days=days)
        put_bars(settings.lake, bar_rows([bar_row("A", DAYS[0], close=close)]), replacing=version > 0, at=at)
        set_time(settings, version, at)
    assert len(maintain_lake(settings, dry_run=True, now=NOW).removals) == 2
    report = maintain_lake(settings)
    assert report.removals == []
    assert (
        f"as of {NOW - timedelta(days=999):%Y-%m-%d}, a day after the newest upload, not of today" in report.summary()
    )
    ahead, soon = datetime(2099, 1, 1, tzinfo=UTC), NOW - timedelta(days=1000) + timedelta(hours=1)
    assert bound_clock(settings.lake, ahead) == NOW - timedelta(days=999)
    assert bound_clock(settings.lake, soon) == soon
    assert bound_clock(settings.home / "none", ahead) == ahead


def test_a_version_that_was_in_force_when_the_window_began_stays(home: Settings) -> None:
    # Version 1 was in force at the beginning of the window, and was replaced inside it.
    for version, days in ((0, 900), (1, 500)):
        set_time(home, version, NOW - timedelta(days=days))
    assert maintain_lake(home, now=NOW).removals == []  # by the catalog both are recent


def test_an_orphan_goes_after_a_day(home: Settings) -> None:
    folder = home.lake / "bars" / f"session={DAYS[0]}"
    orphan = folder / "left.parquet"
    orphan.write_bytes(b"PAR1")
    assert maintain_lake(home).removals == []
    age(orphan, 1.1)
    (removal,) = maintain_lake(home).removals
    assert (removal.path, removal.size_bytes, removal.why) == (orphan, 4, "no version ever named it")
    assert not orphan.exists()


@pytest.mark.parametrize(
    "name",
    [
        "part-00000-2ff37460-c000.snappy.parquet#1",
        "_delta_log/00000000000000000006.json#1",
        "_delta_log/00000000000000000010.checkpoint.parquet#2",
        "_delta_log/_last_checkpoint#1",
        "_delta_log/_commit_2ff37460.json.tmp",
    ],
)
def test_what_a_killed_write_left_goes_after_a_day(home: Settings, name: str) -> None:
    left = home.lake / "bars" / name
    left.write_bytes(b"half")
    assert maintain_lake(home, now=NOW).removals == []
    (removal,) = maintain_lake(home, now=NOW + timedelta(days=2)).removals
    assert (removal.path, removal.why) == (left, "left by a write that died")
    assert not left.exists()


def test_what_a_dead_process_committed_is_taken_back_and_stays_for_the_window(home: Settings) -> None:
    append_rows(home.lake, BARS, bar_rows([bar_row("Z", DAYS[0])]))
    maintain_lake(home)
    assert table_version(home.lake, BARS) == 4
    assert bars_as_of(home.lake)["symbol"].to_pylist() == ["A", "A"]


def test_a_log_that_is_gone_stops_every_removal(home: Settings) -> None:
    DeltaTable(BARS.path(home.lake)).create_checkpoint()  # the newest version can be opened without it
    (home.lake / "bars" / "_delta_log" / f"{1:020d}.json").rename(home.home / "away.json")
    before = snapshot(home.lake)
    with pytest.raises(ClosecastError, match="every log of the audit window must be there"):
        maintain_lake(home, dry_run=True)
    assert snapshot(home.lake) == before


def test_old_files_of_the_home_go_and_new_ones_stay(home: Settings) -> None:
    for name in (
        "published/2016-01-01.csv",
        "published/.part",
        "scratch/rows.arrow",
        "uploads/ab/.partial",
        "lake/_listings/b.parquet",
    ):
        for folder, days in (("old", 401.0), ("new", 0.5)):
            path = home.home / Path(name).parent / Path(name).name.replace(".", f".{folder}.", 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
            age(path, days)
    kept = home.home / "uploads" / "ab" / "abcd.csv"
    kept.write_text("x")
    age(kept, 4000)
    report = maintain_lake(home)
    assert sorted(removal.area for removal in report.removals) == [
        "listings",
        "published",
        "scratch",
        "scratch",
        "scratch",
    ]
    assert all("old" in removal.path.name for removal in report.removals)
    assert kept.exists()


def test_kept_uploads_go_only_where_a_setting_says_so(home: Settings) -> None:
    sha256 = f"{1:064x}"
    kept = home.kept / sha256[:2] / f"{sha256}.csv.gz"
    part = home.kept / sha256[:2] / f"{2:064x}" / "part-0.csv"
    unknown = home.kept / "ff" / f"{'f' * 64}.csv"
    for path in (kept, part, unknown):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    later = datetime.now(UTC) + timedelta(days=31)
    assert maintain_lake(home, now=later).removals == []
    limited = home.model_copy(update={"upload_retention_days": 30})
    assert [removal.path for removal in maintain_lake(limited, now=later).removals] == [kept, part]
    assert not kept.exists()
    assert not part.parent.exists()
    assert unknown.exists()


def test_a_dry_run_changes_nothing(home: Settings) -> None:
    put_bars(home.lake, bar_rows([bar_row("B", DAYS[0])]))
    before = snapshot(home.home)
    report = maintain_lake(home, dry_run=True, now=NOW + timedelta(days=500))
    assert report.removals
    assert {compaction.table for compaction in report.compactions} == {"bars", "uploads"}
    assert report.summary().startswith("would merge 6 small file(s) of 2 table(s), would remove 2 file(s)")
    assert snapshot(home.home) == before


def test_a_home_without_a_lake(settings: Settings) -> None:
    assert maintain_lake(settings).summary() == "merged 0 small file(s) of 0 table(s), removed 0 file(s), 0.0 MB"
