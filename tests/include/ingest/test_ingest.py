"""Uploads become bars: every row counted, the same bytes once, corrections in one commit, the file kept."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
from collections import Counter
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from include.errors import ClosecastError, InputError, UnavailableError
from include.ingest import changes, ingest, judge, refusals
from include.ingest.duplicates import Split
from include.ingest.ingest import find_upload, ingest_session, ingest_upload
from include.ingest.judge import CONFLICT
from include.ingest.levels import LEVEL
from include.ingest.store import find_kept
from include.lake.bars import open_bars
from include.lake.catalog import committed_state, find_committed
from include.lake.reads import read_all, read_opened, read_partitions
from include.lake.tables import BARS, QUARANTINE, RESTATEMENTS, UPLOADS, table_version
from include.settings import Settings
from include.uploads.source import LocalSource

HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"
DAY = date(2018, 6, 1)


def bar(symbol: str, close: float = 1.5, day: date = DAY, volume: str = "10") -> str:
    return f"{symbol},{day},1,2,0.5,{close},{volume},100\n"


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(rows))
    return path


def closes(settings: Settings, day: date = DAY, *, version: int | None = None) -> dict[str, float]:
    rows = read_partitions(open_bars(settings.lake, version=version), "session", [day]).to_pylist()
    found = {row["symbol"]: row["close"] for row in rows}
    assert len(found) == len(rows)
    return found


def versions(settings: Settings) -> list[int | None]:
    return [table_version(settings.lake, table) for table in (BARS, QUARANTINE, UPLOADS)]


def test_every_row_of_the_file_is_accounted_for(settings: Settings, tmp_path: Path) -> None:
    rows = [
        bar("GOOD"),
        bar("TWICE"),
        bar("TWICE"),
        bar("TWO", 1.25, volume="5"),
        bar("TWO", 1.75, volume="50"),
        "LOW,2018-06-01,1,2,1.1,1.5,10,100\n",
        "WORD,2018-06-01,one,2,0.5,1.5,10,100\n",
        "SHORT,2018-06-01,1\n",
    ]
    report = ingest_upload(settings, write(tmp_path / "day.csv", *rows))
    assert (report.rows, report.accepted, report.quarantined, report.duplicates) == (8, 3, 4, 1)
    assert (report.first_session, report.last_session, report.sessions) == (DAY, DAY, 1)
    assert "8 rows = 3 accepted + 4 quarantined + 1 exact duplicates" in report.summary()
    assert closes(settings) == {"GOOD": 1.5, "TWICE": 1.5, "TWO": 1.75}
    refused = {row["row_number"]: row for row in read_all(settings.lake, QUARANTINE).to_pylist()}
    assert {number: row["expectation"] for number, row in refused.items()} == {
        4: CONFLICT,
        6: "low_is_lowest",
        7: "number_is_readable",
        8: "row_has_all_fields",
    }
    assert {row["upload_sha256"] for row in refused.values()} == {report.sha256}
    assert json.loads(refused[4]["raw"])["close"] == 1.25
    assert json.loads(refused[7]["raw"])["open"] == "one"


def test_the_row_in_uploads_is_the_report(settings: Settings, tmp_path: Path) -> None:
    report = ingest_upload(settings, write(tmp_path / "day.csv", bar("A")))
    (row,) = read_all(settings.lake, UPLOADS).to_pylist()
    assert row == {name: getattr(report, name) for name in UPLOADS.schema.names}
    assert row["bars_version"] == table_version(settings.lake, BARS) == 1
    assert row["sequence"] == 1
    assert row["sha256"] == hashlib.sha256((tmp_path / "day.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["day.csv", "other.csv"])
def test_the_same_bytes_again_change_nothing(settings: Settings, tmp_path: Path, name: str) -> None:
    rows = [bar("A"), bar("B"), bar("BAD", -1.0)]
    first = ingest_upload(settings, write(tmp_path / "day.csv", *rows))
    before = versions(settings)
    again = ingest_upload(settings, write(tmp_path / name, *rows))
    assert again.already_ingested
    assert not first.already_ingested
    assert (again.sha256, again.name, again.rows) == (first.sha256, "day.csv", 3)
    assert "nothing to do" in again.summary()
    assert versions(settings) == before
    assert len(list(settings.kept.rglob("*.csv"))) == 1


def test_a_second_upload_completes_a_session(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "1.csv", bar("A", 1.1), bar("B", 1.2)))
    ingest_upload(settings, write(tmp_path / "2.csv", bar("C", 1.3)))
    assert closes(settings) == {"A": 1.1, "B": 1.2, "C": 1.3}


def test_a_correction_is_one_commit_and_the_earlier_version_stays(settings: Settings, tmp_path: Path) -> None:
    other = date(2018, 6, 2)
    first = ingest_upload(settings, write(tmp_path / "1.csv", bar("A", 1.1), bar("B", 1.2), bar("A", 1.4, other)))
    second = ingest_upload(settings, write(tmp_path / "2.csv", bar("A", 1.9)))
    assert second.bars_version == first.bars_version + 1
    assert closes(settings) == {"A": 1.9, "B": 1.2}
    assert closes(settings, version=first.bars_version) == {"A": 1.1, "B": 1.2}
    assert closes(settings, other) == {"A": 1.4}
    rows = read_partitions(open_bars(settings.lake), "session", [DAY]).to_pylist()
    assert {row["symbol"]: row["upload_sha256"] for row in rows} == {"A": second.sha256, "B": first.sha256}


def test_bars_of_a_session_lie_sorted_by_symbol(settings: Settings, tmp_path: Path) -> None:
    ingest_upload(settings, write(tmp_path / "1.csv", bar("D"), bar("B")))
    ingest_upload(settings, write(tmp_path / "2.csv", bar("C"), bar("A")))
    assert list(closes(settings)) == ["A", "B", "C", "D"]


def test_dates_that_are_no_session_of_the_exchange_are_quarantined(settings: Settings, tmp_path: Path) -> None:
    xnys = settings.model_copy(update={"calendar": "XNYS"})
    good_friday, saturday = date(2018, 3, 30), date(2018, 6, 2)
    rows = [bar("A"), bar("A", day=good_friday), bar("A", day=saturday)]
    report = ingest_upload(xnys, write(tmp_path / "week.csv", *rows))
    assert (report.accepted, report.quarantined, report.sessions) == (1, 2, 1)
    refused = read_all(xnys.lake, QUARANTINE).to_pylist()
    assert {(row["session"], row["expectation"]) for row in refused} == {
        (good_friday, "session_on_calendar"),
        (saturday, "session_on_calendar"),
    }


def test_an_upload_of_which_nothing_stands_leaves_no_bars(settings: Settings, tmp_path: Path) -> None:
    report = ingest_upload(settings, write(tmp_path / "day.csv", bar("A", -1.0)))
    assert (report.rows, report.accepted, report.quarantined) == (1, 0, 1)
    assert report.bars_version is None
    assert versions(settings) == [None, 0, 0]
    assert find_upload(settings, report.sha256) is not None


@pytest.mark.parametrize("arrives_in_inbox", [True, False])
def test_the_file_is_kept_byte_for_byte_and_read_only(
    settings: Settings, tmp_path: Path, arrives_in_inbox: bool
) -> None:
    path = (settings.inbox if arrives_in_inbox else tmp_path) / "2018-06-01.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress((HEADER + bar("A")).encode()))
    came = path.read_bytes()
    report = ingest_upload(settings, path)
    kept = settings.kept / report.sha256[:2] / f"{report.sha256}.csv.gz"
    assert kept.read_bytes() == came
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    assert path.exists() is not arrives_in_inbox
    assert [each for each in settings.kept.rglob("*") if each.is_file()] == [kept]


def test_the_same_bytes_in_the_inbox_again_are_taken_out_of_it(settings: Settings) -> None:
    ingest_upload(settings, write(settings.inbox / "2018-06-01.csv", bar("A")))
    ingest_upload(settings, write(settings.inbox / "2018-06-01.csv", bar("A")))
    assert list(settings.inbox.iterdir()) == []


def test_a_session_is_all_its_uploads(settings: Settings) -> None:
    write(settings.inbox / "a-2018-06-01.csv", bar("A"))
    write(settings.inbox / "b-2018-06-01.csv", bar("B"))
    write(settings.inbox / "2018-06-02.csv", bar("C", day=date(2018, 6, 2)))
    reports = ingest_session(settings, DAY)
    assert [report.name for report in reports] == ["a-2018-06-01.csv", "b-2018-06-01.csv"]
    assert closes(settings) == {"A": 1.5, "B": 1.5}
    assert ingest_session(settings, DAY) == []
    assert [path.name for path in settings.inbox.iterdir()] == ["2018-06-02.csv"]


def test_a_session_without_upload_or_bars_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"an upload for session 2018-06-01 must be in the inbox") as caught:
        ingest_session(settings, DAY)
    assert caught.value.place == str(settings.inbox)


def test_the_session_waited_for_settles_the_order_of_day_and_month(settings: Settings) -> None:
    text = "symbol,date,open,high,low,close\nA,1/6/2018,1,2,0.5,1.5\n"
    settings.inbox.mkdir(parents=True)
    (settings.inbox / "2018-06-01.csv").write_text(text)
    ingest_session(settings, DAY)
    assert closes(settings) == {"A": 1.5}


@pytest.mark.parametrize("content", ["", "date,open\n", HEADER, HEADER + "A,yesterday,1,2,0.5,1.5,1,1\n"])
def test_a_file_that_breaks_a_rule_writes_nothing(settings: Settings, content: str) -> None:
    settings.inbox.mkdir(parents=True)
    path = settings.inbox / "2018-06-01.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=path.name):
        ingest_upload(settings, path)
    assert list(settings.home.rglob("*")) == [settings.inbox, path]


def test_a_file_that_is_still_being_written_is_refused_wherever_it_lies(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "day.csv", bar("A"))
    with path.open("a") as writer:
        with pytest.raises(InputError, match="must be complete before it is read"):
            ingest_upload(settings, path)
        writer.write(bar("B"))
    assert ingest_upload(settings, path).accepted == 2


def test_progress_ends_at_the_files_size(settings: Settings, tmp_path: Path) -> None:
    path, seen = write(tmp_path / "day.csv", bar("A")), []
    ingest_upload(settings, path, on_progress=lambda done, total, _: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (refusals, "replace_partitions"),
        (changes, "write_file"),
        (changes, "commit_files"),
        (changes, "append_rows"),
        (ingest, "append_operation"),
        (ingest, "keep_upload"),
    ],
)
def test_an_ingest_that_died_is_done_again_to_the_same_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, module: ModuleType, part: str
) -> None:
    ingest_upload(settings, write(settings.inbox / "2018-06-01.csv", bar("OLD", 1.1), bar("A", 1.2)))
    path = write(settings.inbox / "2018-06-01.csv", bar("A"), bar("B"), bar("B"), bar("BAD", -1.0))

    def die(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(module, part, die)
        with pytest.raises(OSError, match="disk is full"):
            ingest_upload(settings, path)
    assert path.exists()
    if part != "keep_upload":
        assert closes(settings) == {"OLD": 1.1, "A": 1.2}
        assert committed_state(settings.lake).sequence == 1
    report = ingest_upload(settings, path)
    assert (report.rows, report.accepted, report.quarantined, report.duplicates) == (4, 2, 1, 1)
    # The row in `uploads` is the commit point: only what is left to do after it is not done again.
    assert report.already_ingested is (part == "keep_upload")
    assert closes(settings) == {"OLD": 1.1, "A": 1.5, "B": 1.5}
    assert read_all(settings.lake, QUARANTINE).num_rows == 1
    assert read_all(settings.lake, UPLOADS).num_rows == 2
    assert not path.exists()


def test_a_row_that_vanished_is_an_error_and_not_a_count(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = Split(kept=np.array([0]), exact=np.array([], np.int64), conflicting=np.array([], np.int64))
    monkeypatch.setattr(judge, "split_duplicates", lambda *_: fewer)
    with pytest.raises(ClosecastError, match="rows must equal accepted"):
        ingest_upload(settings, write(tmp_path / "day.csv", bar("A"), bar("B")))


def test_an_upload_that_died_is_not_known_to_the_one_after_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_upload(settings, write(tmp_path / "1.csv", bar("A", 1.1), bar("B", 1.2)))
    dying = write(tmp_path / "2.csv", bar("A", 1.9), bar("BAD", -1.0))
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "append_operation", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        with pytest.raises(OSError, match="disk is full"):
            ingest_upload(settings, dying)
    ingest_upload(settings, write(tmp_path / "3.csv", bar("C", 1.3)))
    assert closes(settings) == {"A": 1.1, "B": 1.2, "C": 1.3}
    assert read_opened(find_committed(settings.lake, QUARANTINE), QUARANTINE).num_rows == 0


def test_a_correction_is_restated_cell_by_cell(settings: Settings, tmp_path: Path) -> None:
    first = ingest_upload(settings, write(tmp_path / "1.csv", bar("A", 1.1), bar("B", 1.2), bar("C", 1.3)))
    second = ingest_upload(settings, write(tmp_path / "2.csv", bar("A", 1.9), bar("B", 1.2), bar("D", 1.4, volume="")))
    assert (second.accepted, second.added, second.restated, second.unchanged) == (3, 1, 1, 1)
    (cell,) = read_all(settings.lake, RESTATEMENTS).to_pylist()
    assert (cell["session"], cell["symbol"], cell["column"], cell["was"], cell["is"]) == (DAY, "A", "close", 1.1, 1.9)
    assert (cell["was_upload_sha256"], cell["upload_sha256"]) == (first.sha256, second.sha256)
    rows = read_partitions(open_bars(settings.lake), "session", [DAY]).to_pylist()
    came = {"A": second, "B": first, "C": first, "D": second}
    assert {row["symbol"]: row["upload_sha256"] for row in rows} == {name: by.sha256 for name, by in came.items()}
    third = ingest_upload(settings, write(tmp_path / "3.csv", bar("D", 1.4, volume="7")))
    cells = read_all(settings.lake, RESTATEMENTS).to_pylist()
    assert [(cell["was"], cell["is"]) for cell in cells if cell["upload_sha256"] == third.sha256] == [(None, 7.0)]


def test_an_upload_that_repeats_what_is_there_makes_no_new_version_of_bars(settings: Settings, tmp_path: Path) -> None:
    first = ingest_upload(settings, write(tmp_path / "1.csv", bar("A", 1.1), bar("B", 1.2)))
    again = ingest_upload(settings, write(tmp_path / "2.csv", bar("B", 1.2)))
    assert (again.accepted, again.unchanged, again.bars_version) == (1, 1, first.bars_version)
    assert not again.already_ingested


@pytest.mark.shared_data
def test_the_real_file_of_two_sources_is_accounted_for(settings: Settings, shared_data: Path) -> None:
    report = ingest_upload(settings, shared_data / "crypto_daily_cmc_2013_2018.parquet")
    assert report.rows == 336_905 == report.accepted + report.quarantined + report.duplicates
    assert read_all(settings.lake, BARS, columns=["symbol"]).num_rows == report.accepted
    assert read_all(settings.lake, QUARANTINE).num_rows == report.quarantined
    # 3,323 pairs of symbol and date come twice; four rows stand a hundred times from their neighbours and never again.
    refused = Counter(read_all(settings.lake, QUARANTINE)["expectation"].to_pylist())
    assert (report.duplicates, refused) == (2_474, {CONFLICT: 849, LEVEL: 4})


def test_a_file_that_takes_the_place_after_the_commit_waits_for_its_own_turn(settings: Settings) -> None:
    later = HEADER + bar("later")

    class Replaced(LocalSource):
        """Gives way to a later file once the bars of this one are committed."""

        def identity(self) -> str:
            if committed_state(settings.lake).sequence == 1 and self.path.read_text() != later:
                partial = self.path.with_suffix(".tmp")
                partial.write_text(later)
                partial.rename(self.path)
            return super().identity()

    path = write(settings.inbox / "2018-06-01.csv", bar("A"))
    with pytest.raises(
        UnavailableError, match=r"are committed and its file is kept, but that was replaced.*2018-06-01\.csv"
    ):
        ingest_upload(settings, Replaced(path))
    assert committed_state(settings.lake).sequence == 1
    assert path.read_text() == later
    first = HEADER + bar("A")
    kept = find_kept(settings, hashlib.sha256(first.encode()).hexdigest())
    assert kept is not None
    assert (Path(kept).suffix, Path(kept).read_text()) == (".csv", first)
    (report,) = ingest_session(settings, date(2018, 6, 1))
    assert (report.sequence, report.added) == (2, 1)
    assert Path(find_kept(settings, report.sha256) or "-").read_text() == later


def test_a_name_that_is_no_utf_8_is_ingested(settings: Settings) -> None:
    path = write(Path(os.fsdecode(os.fsencode(settings.inbox) + b"/2018-06-01\xff.csv")), bar("A"))
    (report,) = ingest_session(settings, date(2018, 6, 1))
    assert report.name == "2018-06-01\\udcff.csv"
    assert find_upload(settings, report.sha256) is not None
    assert not path.exists()
