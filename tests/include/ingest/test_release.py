"""Rows leave quarantine by an operator's word or by a corrected file, and the record says who, when and why."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.errors import InputError, NotFoundError
from include.ingest import ingest
from include.ingest.ingest import ingest_upload
from include.ingest.judge import CONFLICT, LEVEL
from include.ingest.release import bring_back, list_releasable, release_rows, repair_upload
from include.ingest.report import IngestReport
from include.ingest.store import find_kept
from include.lake.bars import open_bars
from include.lake.catalog import list_releases, read_operations
from include.lake.quarantine import QuarantineFilter, count_quarantine, find_upload_hash, read_quarantine
from include.lake.reads import read_partitions
from include.lake.restatements import find_touched_forecasts, list_touched_sessions
from include.quality.session import validate_session
from include.settings import Settings
from tests.include.lake.rows import forecast_row, put_forecasts

HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"
DAY = date(2018, 6, 1)
ALL = QuarantineFilter()


def write(path: Path, *rows: str) -> Path:
    path.write_text(HEADER + "".join(rows))
    return path


def row(symbol: str, *, low: float | str = 0.5, close: float = 1.5, volume: int = 10, day: date = DAY) -> str:
    return f"{symbol},{day},1,2,{low},{close},{volume},100\n"


@pytest.fixture
def dirty(settings: Settings, tmp_path: Path) -> IngestReport:
    """One good row, one whose low is too high, one that can't be read, one symbol twice, one line cut short."""
    rows = [
        row("GOOD"),
        row("LOW", low=1.2),
        row("WORD", low="low"),
        row("TWO"),
        row("TWO", close=1.25, volume=5),
        "CUT\n",
    ]
    return ingest_upload(settings, write(tmp_path / "day.csv", *rows))


def closes(settings: Settings) -> dict[str, float]:
    found = read_partitions(open_bars(settings.lake), "session", [DAY]).to_pylist()
    return {each["symbol"]: each["close"] for each in found}


def open_rows(settings: Settings) -> dict[int, str]:
    found = read_quarantine(settings.lake, ALL).to_pylist()
    return {each["row_number"]: each["expectation"] for each in found}


def test_what_can_be_released_is_what_makes_a_bar(settings: Settings) -> None:
    assert list_releasable(settings) == {"low_is_lowest", "high_is_highest", CONFLICT, LEVEL}


def test_a_released_row_is_a_bar_with_its_reason(settings: Settings, dirty: IngestReport) -> None:
    assert open_rows(settings).keys() == {2, 3, 5, 6}
    (report,) = release_rows(settings, QuarantineFilter(symbols=["LOW"]), who="desk", why="the exchange says so")
    assert (report.kind, report.of_sha256, report.who, report.why) == (
        "release",
        dirty.sha256,
        "desk",
        "the exchange says so",
    )
    assert (report.rows, report.accepted, report.added, report.released) == (1, 1, 1, 1)
    assert closes(settings) == {"GOOD": 1.5, "TWO": 1.5, "LOW": 1.5}
    assert open_rows(settings).keys() == {3, 5, 6}
    (left,) = read_quarantine(settings.lake, QuarantineFilter(symbols=["LOW"], with_resolved=True)).to_pylist()
    assert left["resolved_by"] == report.sha256
    assert find_kept(settings, report.sha256).endswith(".parquet")
    assert list_releases(settings.lake) == {report.sha256}
    assert not any(settings.scratch.iterdir())


def test_a_released_row_passes_the_gate_that_a_like_one_fails(settings: Settings, dirty: IngestReport) -> None:
    release_rows(settings, QuarantineFilter(symbols=["LOW"]), who="desk", why="true")
    results = {result.expectation: result for result in validate_session(settings, DAY).results}
    assert results["low_is_lowest"].success


def test_a_release_of_the_other_row_of_two_corrects_the_bar(settings: Settings, dirty: IngestReport) -> None:
    (report,) = release_rows(settings, QuarantineFilter(expectation=CONFLICT), who="desk", why="the later print counts")
    assert (report.restated, report.added, report.released) == (1, 0, 1)
    assert closes(settings)["TWO"] == 1.25


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (QuarantineFilter(row_numbers=[3]), InputError, "any other must be repaired. Received: number_is_readable"),
        (QuarantineFilter(row_numbers=[2, 6]), InputError, "row_has_all_fields"),
        (QuarantineFilter(symbols=["GOOD"]), NotFoundError, "must be open in quarantine"),
        (QuarantineFilter(upload="beef"), InputError, "at least six digits"),
        (QuarantineFilter(upload="beef" * 3), NotFoundError, "must have been ingested"),
    ],
)
def test_what_may_not_be_released_changes_nothing(
    settings: Settings, dirty: IngestReport, wanted: QuarantineFilter, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        release_rows(settings, wanted, who="desk", why="because")
    assert len(read_operations(settings.lake)) == 1
    assert open_rows(settings).keys() == {2, 3, 5, 6}


def test_a_row_that_todays_rules_accept_comes_in_and_is_let_off_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_before = DAY - timedelta(days=1)
    with monkeypatch.context() as early:
        early.setattr(ingest, "newest_ingestible_session", lambda *_: day_before)
        report = ingest_upload(settings, write(tmp_path / "day.csv", row("A"), row("BAD", close=-1.0)))
    assert (report.accepted, report.quarantined) == (0, 2)
    wanted = QuarantineFilter(expectation="session_has_closed")
    with pytest.raises(InputError, match="any other must be repaired"):
        release_rows(settings, wanted, who="desk", why="closed now")
    (released,) = release_rows(settings, QuarantineFilter(symbols=["A"]), who="desk", why="closed now")
    assert (released.added, released.released) == (1, 1)


def test_a_row_let_off_one_rule_is_held_to_the_others(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "0.csv", row("X"), row("W")))
    after = DAY + timedelta(days=1)
    far = f"X,{after},1500,2000,1600,1500,10,100\n" + f"W,{after},1500,2000,500,1500,10,100\n"
    dirty = ingest_upload(settings, write(tmp_path / "1.csv", far))
    assert sorted(open_rows(settings).values()) == ["level_confirmed", "low_is_lowest"]
    reports = release_rows(settings, QuarantineFilter(upload=dirty.sha256), who="desk", why="all of it")
    assert sorted((report.added, report.quarantined) for report in reports) == [(0, 1), (1, 0)]
    left = read_quarantine(settings.lake, ALL).to_pylist()
    assert sorted((each["symbol"], each["expectation"]) for each in left) == [("X", LEVEL), ("X", "low_is_lowest")]


def test_a_later_upload_of_the_same_symbol_and_session_closes_the_open_row(
    settings: Settings, dirty: IngestReport, tmp_path: Path
) -> None:
    report = ingest_upload(settings, write(tmp_path / "again.csv", row("LOW"), row("OTHER")))
    assert (report.added, report.released) == (2, 1)
    assert open_rows(settings).keys() == {3, 5, 6}


def test_a_release_without_a_reason_is_refused(settings: Settings, dirty: IngestReport) -> None:
    with pytest.raises(InputError, match="must have a reason"):
        release_rows(settings, QuarantineFilter(symbols=["LOW"]), who="desk", why="  ")


def test_two_rows_of_one_symbol_must_be_told_apart(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "day.csv", row("A", low=1.2), row("A", low=1.3)))
    with pytest.raises(InputError, match="name its row number"):
        release_rows(settings, QuarantineFilter(symbols=["A"]), who="desk", why="because")
    (report,) = release_rows(settings, QuarantineFilter(row_numbers=[2]), who="desk", why="because")
    assert report.released == 2
    assert open_rows(settings) == {}


def test_a_repair_brings_what_was_refused_and_leaves_the_rest(
    settings: Settings, dirty: IngestReport, tmp_path: Path
) -> None:
    corrected = write(tmp_path / "corrected.csv", row("LOW"), row("WORD"), row("CUT"))
    report = repair_upload(settings, dirty.sha256[:8], corrected, who="desk", why="sent again")
    assert (report.kind, report.of_sha256, report.added, report.released) == ("repair", dirty.sha256, 3, 2)
    assert closes(settings) == dict.fromkeys(("GOOD", "TWO", "LOW", "WORD", "CUT"), 1.5)
    # The line that was cut has no symbol: that this file mends it too is not to be seen.
    assert open_rows(settings) == {5: CONFLICT, 6: "row_has_all_fields"}


def test_a_repair_of_the_whole_upload_leaves_nothing_open(
    settings: Settings, dirty: IngestReport, tmp_path: Path
) -> None:
    corrected = write(tmp_path / "corrected.csv", *(row(name) for name in ("GOOD", "LOW", "WORD", "TWO", "NEW", "CUT")))
    report = repair_upload(settings, dirty.sha256, corrected, who="desk", why="sent again")
    assert (report.added, report.unchanged, report.released) == (4, 2, 4)
    assert open_rows(settings) == {}


def test_a_repair_that_is_refused_itself_leaves_the_old_row_open(
    settings: Settings, dirty: IngestReport, tmp_path: Path
) -> None:
    corrected = write(tmp_path / "corrected.csv", row("LOW", low=1.1))
    report = repair_upload(settings, dirty.sha256, corrected, who="desk", why="sent again")
    assert (report.accepted, report.quarantined) == (0, 1)
    assert read_quarantine(settings.lake, QuarantineFilter(symbols=["LOW"])).num_rows == 2


def test_asking_twice_by_one_run_brings_back_once(settings: Settings, dirty: IngestReport) -> None:
    form = {"action": "release", "upload": dirty.sha256, "symbols": ["LOW"], "why": "true"}
    asked = dict.fromkeys(("expectation", "rows", "file")) | form
    first = bring_back(settings, asked, who="desk, run 1")
    assert bring_back(settings, asked, who="desk, run 1") == first
    with pytest.raises(NotFoundError):
        bring_back(settings, asked, who="desk, run 2")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"action": "repair", "file": None}, "a repair must say its file"),
        ({"action": "repair", "upload": None, "file": "x.csv"}, "a repair must say its upload"),
        ({"upload": None, "symbols": None}, "must say which rows"),
    ],
)
def test_a_form_that_does_not_say_enough(settings: Settings, changed: dict[str, object], said: str) -> None:
    form = {"action": "release", "upload": "beef" * 3, "symbols": ["LOW"], "why": "true"}
    with pytest.raises(InputError, match=said):
        bring_back(settings, dict.fromkeys(("expectation", "rows", "file")) | form | changed, who="desk, run 1")


def test_counts_name_the_rule_the_symbols_and_the_span(settings: Settings, dirty: IngestReport) -> None:
    counts = {each["expectation"]: each for each in count_quarantine(read_quarantine(settings.lake, ALL))}
    assert {name: each["rows"] for name, each in counts.items()} == {
        "low_is_lowest": 1,
        "number_is_readable": 1,
        CONFLICT: 1,
        "row_has_all_fields": 1,
    }
    assert counts["low_is_lowest"]["symbols"] == ["LOW"]
    assert counts["row_has_all_fields"]["symbols"] == []
    assert counts[CONFLICT]["first_session"] == DAY


def test_the_digits_of_a_hash_must_tell_one_upload(settings: Settings, dirty: IngestReport) -> None:
    assert find_upload_hash(settings.lake, dirty.sha256[:6]) == dirty.sha256
    with pytest.raises(InputError, match="at least six digits"):
        find_upload_hash(settings.lake, "')--zz")


def test_forecasts_that_had_read_the_old_numbers_are_named(settings: Settings, tmp_path: Path) -> None:
    days = [DAY + timedelta(days=at) for at in range(12)]
    first = ingest_upload(settings, write(tmp_path / "1.csv", *(row(name, day=day) for day in days for name in "AB")))
    rows = [
        forecast_row(name, target, 1.0, 1.0, as_of=day, bars_version=first.bars_version, run_id=f"run {day}")
        for day in days
        for name in "AB"
        for target in ("open", "close")
    ]
    put_forecasts(settings.lake, rows)
    second = ingest_upload(settings, write(tmp_path / "2.csv", row("A", close=1.75, day=days[2])))
    put_forecasts(
        settings.lake,
        ([forecast_row("A", "open", 1.0, 1.0, as_of=days[4], bars_version=second.bars_version)]),
    )
    touched = find_touched_forecasts(settings.lake, second.sha256)
    # The rows say that the model looks back on eight sessions, the scored one among them.
    assert [(each["symbol"], each["as_of"]) for each in touched.sort_by("as_of").to_pylist()] == [
        ("A", day) for day in days[2:10]
    ]
    assert list_touched_sessions(settings.lake, second.sha256) == days[2:10]
    assert find_touched_forecasts(settings.lake, first.sha256).num_rows == 0
    assert isinstance(touched, pa.Table)
