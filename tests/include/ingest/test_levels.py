"""A level in doubt waits in quarantine over uploads, and leaves it by rule; the answer is the same all at once."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from include.ingest.ingest import IngestReport, ingest_upload
from include.ingest.levels import LEVEL
from include.lake.bars import open_bars
from include.lake.catalog import find_committed
from include.lake.files import list_sessions
from include.lake.reads import read_opened, read_partitions
from include.lake.tables import QUARANTINE
from include.settings import Settings

DAY = date(2018, 6, 1)
HEADER = "symbol,date,open,high,low,close,volume\n"

COMES_BACK = [1.0, 1.1, 500.0, 1.2, 1.3, 1.1, 1.2]
STAYS = [1.0, 1.1, 1000.0, 1010.0, 990.0, 1005.0, 1001.0]
CALM = [5.0, 5.1, 5.2, 5.3, 5.2, 5.1, 5.0]


def line(symbol: str, at: int, close: float) -> str:
    return f"{symbol},{DAY + timedelta(days=at)},{close},{close * 1.1},{close * 0.9},{close},{at + 1}\n"


def write_days(folder: Path, days: range) -> Path:
    path = folder / f"{days[0]}-{days[-1]}.csv"
    named = {"BACK": COMES_BACK, "STAYS": STAYS, "CALM": CALM}
    path.write_text(HEADER + "".join(line(name, at, closes[at]) for at in days for name, closes in named.items()))
    return path


def closes_of(settings: Settings, symbol: str) -> list[float]:
    bars = open_bars(settings.lake)
    rows = read_partitions(bars, "session", list_sessions(bars)).sort_by("session").to_pylist()
    return [row["close"] for row in rows if row["symbol"] == symbol]


def waiting(settings: Settings) -> list[tuple[str, date]]:
    rows = read_opened(find_committed(settings.lake, QUARANTINE), QUARANTINE).to_pylist()
    assert {row["expectation"] for row in rows} <= {LEVEL}
    return sorted((row["symbol"], row["session"]) for row in rows if row["resolved_by"] is None)


def ingest_days(settings: Settings, folder: Path, *spans: range) -> list[IngestReport]:
    return [ingest_upload(settings, write_days(folder, span)) for span in spans]


@pytest.mark.parametrize(
    "spans",
    [[range(7)], [range(at, at + 1) for at in range(7)], [range(3), range(3, 7)], [range(4), range(4, 6), range(6, 7)]],
)
def test_the_answer_is_the_same_however_the_days_come(settings: Settings, tmp_path: Path, spans: list[range]) -> None:
    reports = ingest_days(settings, tmp_path, *spans)
    assert closes_of(settings, "CALM") == CALM
    assert closes_of(settings, "STAYS") == STAYS
    assert closes_of(settings, "BACK") == [1.0, 1.1, 1.2, 1.3, 1.1, 1.2]
    assert waiting(settings) == [("BACK", DAY + timedelta(days=2))]
    assert all(report.rows == report.accepted + report.quarantined for report in reports)
    assert all(report.accepted == report.added for report in reports)
    entered = sum(report.accepted + report.released for report in reports)
    assert entered == 20


def test_a_row_that_is_released_keeps_the_upload_that_brought_it(settings: Settings, tmp_path: Path) -> None:
    reports = ingest_days(settings, tmp_path, *(range(at, at + 1) for at in range(6)))
    assert [report.released for report in reports] == [0, 0, 0, 0, 0, 3]
    bars = open_bars(settings.lake)
    rows = read_partitions(bars, "session", list_sessions(bars)).sort_by("session").to_pylist()
    brought = [row["upload_sha256"] for row in rows if row["symbol"] == "STAYS"]
    assert brought == [report.sha256 for report in reports]
    refused = read_opened(find_committed(settings.lake, QUARANTINE), QUARANTINE).to_pylist()
    assert {row["resolved_by"] for row in refused if row["symbol"] == "STAYS"} == {reports[-1].sha256}


def test_a_correction_of_the_row_in_doubt_is_heard(settings: Settings, tmp_path: Path) -> None:
    ingest_days(settings, tmp_path, range(3))
    path = tmp_path / "corrected.csv"
    path.write_text(HEADER + line("STAYS", 2, 1.05))
    report = ingest_upload(settings, path)
    assert (report.accepted, report.quarantined) == (1, 0)
    assert closes_of(settings, "STAYS") == [1.0, 1.1, 1.05]


def test_a_late_session_is_not_judged_by_newer_ones(settings: Settings, tmp_path: Path) -> None:
    ingest_days(settings, tmp_path, range(2, 7))
    report = ingest_days(settings, tmp_path, range(2))[0]
    assert (report.accepted, report.quarantined) == (6, 0)


def test_a_day_that_is_sent_again_waits_once_and_blocks_nothing(settings: Settings, tmp_path: Path) -> None:
    for number, rows in enumerate([[line("X", 0, 1.0)], [line("X", 1, 1000.0)], [line("X", 1, 1001.0)]]):
        path = tmp_path / f"{number}.csv"
        path.write_text(HEADER + "".join(rows) + line("CALM", number, 5.0))
        ingest_upload(settings, path)
    for number in (2, 3, 4):
        path = tmp_path / f"later-{number}.csv"
        path.write_text(HEADER + line("X", number, 1000.0))
        ingest_upload(settings, path)
    assert closes_of(settings, "X") == [1.0, 1001.0, 1000.0, 1000.0, 1000.0]


def test_a_corrected_anchor_frees_the_row_that_was_held_against_it(settings: Settings, tmp_path: Path) -> None:
    for number, (at, close) in enumerate([(0, 1000.0), (1, 1.0), (0, 1.0), (2, 1.0)]):
        path = tmp_path / f"{number}.csv"
        path.write_text(HEADER + line("X", at, close))
        ingest_upload(settings, path)
    assert closes_of(settings, "X") == [1.0, 1.0, 1.0]
    assert waiting(settings) == []
