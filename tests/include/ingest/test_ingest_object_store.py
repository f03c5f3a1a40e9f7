"""Uploads from an inbox in an object store to bars in a local lake, with nothing patched between."""

from __future__ import annotations

import gzip
import io
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from include.errors import InputError
from include.ingest.arrival import is_session_here
from include.ingest.inbox import list_waiting
from include.ingest.ingest import ingest_session, ingest_upload
from include.ingest.store import find_kept
from include.object_store import ObjectStore
from include.settings import Settings

FRIDAY = date(2018, 6, 1)


@pytest.fixture
def remote(bucket: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", uploads=f"{bucket}/daily", _env_file=None)


def bars(*symbols: str, day: date = FRIDAY) -> bytes:
    lines = [f"{symbol},{day},1,2,0.5,1.5\n" for symbol in symbols]
    return ("symbol,date,open,high,low,close\n" + "".join(lines)).encode()


def as_parquet(data: bytes) -> bytes:
    out = io.BytesIO()
    pq.write_table(csv.read_csv(pa.BufferReader(data)), out)
    return out.getvalue()


def land(settings: Settings, name: str, data: bytes) -> None:
    ObjectStore(retry_s=5).write(io.BytesIO(data), f"{settings.inbox_url}/{name}")


def test_every_form_becomes_bars_and_is_kept(remote: Settings) -> None:
    land(remote, "a-2018-06-01.csv.gz", gzip.compress(bars("A")))
    land(remote, "b-2018-06-01.parquet", as_parquet(bars("B", "C")))
    for name, data in (("part-0.csv", bars("D")), ("part-1.csv", bars("E", "F")), ("_SUCCESS", b"")):
        land(remote, f"c-2018-06-01/{name}", data)
    assert is_session_here(remote, FRIDAY)
    reports = ingest_session(remote, FRIDAY)
    assert [(report.name, report.rows, report.accepted) for report in reports] == [
        ("a-2018-06-01.csv.gz", 1, 1),
        ("b-2018-06-01.parquet", 2, 2),
        ("c-2018-06-01", 3, 3),
    ]
    assert list_waiting(remote) == []
    for report in reports:
        kept = find_kept(remote, report.sha256)
        assert kept
        assert ingest_upload(remote, kept).already_ingested
    assert is_session_here(remote, FRIDAY)
    assert ingest_session(remote, FRIDAY) == []


def test_the_same_bytes_again_leave_the_inbox_and_change_nothing(remote: Settings) -> None:
    land(remote, "2018-06-01.csv", bars("A"))
    ingest_session(remote, FRIDAY)
    land(remote, "again-2018-06-01.csv", bars("A"))
    (again,) = ingest_session(remote, FRIDAY)
    assert again.already_ingested
    assert list_waiting(remote) == []


def test_an_object_that_is_replaced_while_it_is_read_is_refused(remote: Settings) -> None:
    land(remote, "2018-06-01.csv", bars("A"))

    def replace(*_: object) -> None:
        land(remote, "2018-06-01.csv", bars("B"))

    with pytest.raises(InputError, match="must stay as it is while it is read"):
        ingest_upload(remote, f"{remote.inbox_url}/2018-06-01.csv", on_progress=replace)
    assert not (remote.lake / "bars").exists()
    assert [report.accepted for report in ingest_session(remote, FRIDAY)] == [1]
