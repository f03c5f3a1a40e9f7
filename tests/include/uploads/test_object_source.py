"""An upload in an object store, as the readers see it."""

from __future__ import annotations

import gzip
import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import InputError
from include.object_store import ObjectStore
from include.uploads.object_source import ObjectFolder, ObjectSource, open_object

STORE = ObjectStore(retry_s=5)


def put(url: str, data: bytes = b"x") -> str:
    STORE.write(io.BytesIO(data), url)
    return url


def test_an_object_is_a_source(bucket: str) -> None:
    packed = gzip.compress(b"symbol,date\nA,2018-06-01\n" * 1000)
    source = open_object(STORE, put(f"{bucket}/inbox/2018-06-01.csv.gz", packed))
    assert isinstance(source, ObjectSource)
    assert (source.name, source.size_bytes, list(source.parts)) == ("2018-06-01.csv.gz", len(packed), [])
    with source.open_stream() as stream:
        assert hashlib.sha256(stream.read(1 << 20)).digest() == hashlib.sha256(packed).digest()
        assert stream.read(1) == b""


def test_parquet_is_read_here_and_there(bucket: str) -> None:
    table, file = pa.table({"symbol": ["A", "B"], "wide": ["x" * 1000] * 2}), io.BytesIO()
    pq.write_table(table, file)
    source = open_object(STORE, put(f"{bucket}/day.parquet", file.getvalue()))
    with source.open_random() as random:
        assert pq.read_table(random, columns=["symbol"]).equals(table.select(["symbol"]))


def test_a_folder_is_closed_by_success_and_gives_its_parts_in_name_order(bucket: str) -> None:
    for name in ("b.csv", "a.csv", ".hidden", "_temporary/d.csv"):
        put(f"{bucket}/day/{name}")
    with pytest.raises(InputError, match="must be closed by a file _SUCCESS"):
        open_object(STORE, f"{bucket}/day/")
    put(f"{bucket}/day/_SUCCESS", b"")
    source = open_object(STORE, f"{bucket}/day/")
    assert isinstance(source, ObjectFolder)
    assert [part.name for part in source.parts] == ["a.csv", "b.csv"]
    assert (source.name, source.size_bytes) == ("day", 2)
    for act in (source.open_stream, source.open_random):
        with pytest.raises(InputError, match="part by part"):
            act()


def test_a_closed_folder_with_what_would_not_be_read_is_refused(bucket: str) -> None:
    for name in ("a.csv", "deeper/b.csv", "c.csv.part", "_SUCCESS"):
        put(f"{bucket}/day/{name}")
    with pytest.raises(InputError, match=r"finished files alone.*Received: c.csv.part, deeper/ \(in day\)"):
        open_object(STORE, f"{bucket}/day")


def test_the_identity_changes_with_the_bytes(bucket: str) -> None:
    put(f"{bucket}/day/_SUCCESS", b"")
    part = put(f"{bucket}/day/a.csv")
    file, folder = open_object(STORE, part), open_object(STORE, f"{bucket}/day")
    before = file.identity(), folder.identity()
    assert (file.identity(), folder.identity()) == before
    put(part, b"y")
    assert file.identity() != before[0]
    assert folder.identity() != before[1]
    changed = folder.identity()
    put(f"{bucket}/day/b.csv")
    assert folder.identity() != changed


def test_what_is_gone_is_told(bucket: str) -> None:
    with pytest.raises(InputError, match=rf"must be an object.*nothing there.*{bucket}/day.csv"):
        open_object(STORE, f"{bucket}/day.csv")
    source = open_object(STORE, put(f"{bucket}/day.csv"))
    STORE.delete(source.url)
    for act in (source.identity, source.open_stream, source.open_random):
        with pytest.raises(InputError, match="must be there until it is read"):
            act()
