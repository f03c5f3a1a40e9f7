"""A file of many sessions, replayed: what arrives again is what was in the file, dirt included."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import InputError
from include.market.replay import Replay, live_sessions, write_replay
from include.uploads.read import Upload, read_upload

DAYS = [date(2018, 6, 1) + timedelta(days=number) for number in range(5)]
HEADER = "Coin,Date,Open*,High,Low,Close**,Volume,Market Cap\n"


def read(folder: Path, text: str, name: str = "file.csv") -> Upload:
    path = folder / name
    path.write_text(text)
    return read_upload(path)


def read_back(replay: Replay) -> list[Upload]:
    return [read_upload(path) for path in [*replay.history, *replay.uploads]]


def bars_in(uploads: list[Upload]) -> Counter[tuple[object, ...]]:
    return Counter(tuple(row.values())[1:] for upload in uploads for row in upload.bars.to_table().to_pylist())


def refusals_in(uploads: list[Upload]) -> Counter[tuple[object, ...]]:
    names = ["symbol", "session", "expectation"]
    return Counter(
        tuple(row[name] for name in names) for upload in uploads for row in upload.refused.to_table().to_pylist()
    )


def website(folder: Path) -> Upload:
    """A file in the website's words: five days of two coins, and a row of each kind of dirt."""
    rows = [
        f'{coin},"{day:%b %d, %Y}",1,2,0.5,{1.1 + at / 10},"4,396,930,000",-\n'
        for at, day in enumerate(DAYS)
        for coin in ("BTC", '"A, B"')
    ]
    dirt = [
        'BAD,"Jun 01, 2018",one,2,0.5,1.5,10,1\n',
        'BAD,"Jun 05, 2018",-,2,0.5,1.5,"1,000",1\n',
        ',"Jun 04, 2018",1,2,0.5,1.5,10,1\n',
        'SHORT,"Jun 05, 2018",1\n',
    ]
    return read(folder, HEADER + "".join(rows + dirt))


def test_history_and_one_upload_a_live_session_hold_every_row_once(tmp_path: Path) -> None:
    upload = website(tmp_path)
    replay = write_replay([upload], DAYS[3:], tmp_path / "out")
    assert [path.relative_to(tmp_path / "out") for path in [*replay.history, *replay.uploads]] == [
        Path("history.csv"),
        Path("uploads/2018-06-04.csv"),
        Path("uploads/2018-06-05.csv"),
    ]
    assert replay.sessions == DAYS[3:]
    came = read_back(replay)
    assert [sorted(set(each.bars.to_table()["session"].to_pylist())) for each in came] == [
        DAYS[:3],
        [DAYS[3]],
        [DAYS[4]],
    ]
    assert bars_in(came) == bars_in([upload])


def test_rows_refused_in_the_file_are_refused_again_on_their_day(tmp_path: Path) -> None:
    upload = website(tmp_path)
    came = read_back(write_replay([upload], DAYS[3:], tmp_path / "out"))
    # The line that is too short has no date that could be told, so it is in no day's upload.
    expected = refusals_in([upload])
    del expected[None, None, "row_has_all_fields"]
    assert refusals_in(came) == expected
    assert [each.refused.num_rows for each in came] == [1, 1, 1]


def test_a_parquet_file_is_replayed_too(tmp_path: Path) -> None:
    rows = [
        {"ticker": symbol, "date": day, "open": 1.0, "high": 2.0, "low": low, "close": 1.5, "volume": volume}
        for day in DAYS
        for symbol, low, volume in (("A", 0.1 + 0.2, 7), ("B", None, 0), ("C", float("nan"), None))
    ]
    path = tmp_path / "file.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    upload = read_upload(path)
    came = read_back(write_replay([upload], DAYS[4:], tmp_path / "out"))
    assert bars_in(came) == bars_in([upload])
    assert refusals_in(came) == refusals_in([upload])
    assert sum(each.rows for each in came) == upload.rows == 15


def test_several_files_become_one_history(tmp_path: Path) -> None:
    head = "symbol,date,open,high,low,close\n"
    uploads = [read(tmp_path, f"{head}A,{day},1,2,0.5,1.5\n", f"{day}.csv") for day in DAYS]
    came = read_back(write_replay(uploads, DAYS[4:], tmp_path / "out"))
    assert bars_in(came) == bars_in(uploads)
    assert [each.rows for each in came] == [4, 1]


def test_nothing_unfinished_is_left(tmp_path: Path) -> None:
    write_replay([website(tmp_path)], DAYS[3:], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"history.csv", "2018-06-04.csv", "2018-06-05.csv"}


prices = st.floats(min_value=1e-12, max_value=1e12, allow_subnormal=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(prices, st.one_of(st.none(), st.floats(0, 1e20))), min_size=2, max_size=20))
def test_numbers_come_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[float, float | None]]
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    head = "symbol,date,open,high,low,close,volume\n"
    lines = [
        f"S{at},{DAYS[at % 2]},{price!r},{price!r},{price!r},{price!r},{'' if volume is None else repr(volume)}\n"
        for at, (price, volume) in enumerate(found)
    ]
    upload = read(folder, head + "".join(lines))
    assert bars_in(read_back(write_replay([upload], DAYS[1:2], folder / "out"))) == bars_in([upload])


def test_live_sessions_are_the_newest_that_the_calendar_has(tmp_path: Path) -> None:
    upload = website(tmp_path)
    assert live_sessions([upload], DAYS, 2) == DAYS[3:]
    assert live_sessions([upload], DAYS[:4], 2) == DAYS[2:4]
    assert live_sessions([upload], [*DAYS, date(2018, 6, 9)], 1) == DAYS[4:]


def test_some_session_must_be_left_for_the_history(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"more than 5 sessions of the calendar\. Received: 5"):
        live_sessions([website(tmp_path)], DAYS, 5)
