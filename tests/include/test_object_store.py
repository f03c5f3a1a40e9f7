"""Calls to an object store: whole copies, patience while it is away, and errors that say what to do and no secret."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from include.errors import InputError, NotFoundError, UnavailableError
from include.object_store import ObjectStore, ObjectStream
from include.settings import PROJECT_ROOT
from tests.object_store import KEYS, Relay, refuse_keys

STORE = ObjectStore(retry_s=20)
BLOCK = os.urandom(1 << 20)


@pytest.fixture
def relay(bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    found = Relay(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
    yield found
    found.shut()


def put(url: str, data: bytes) -> str:
    STORE.write(io.BytesIO(data), url)
    return url


def get(url: str, size: int = 1 << 20) -> bytes:
    with STORE.open_stream(url) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


def test_what_is_written_is_read_in_order_and_here_and_there(bucket: str) -> None:
    data = BLOCK * 33  # more blocks than are on their way at once
    put(f"{bucket}/a/day.csv", data)
    assert get(f"{bucket}/a/day.csv", 3_000_001) == data
    with STORE.open_random(f"{bucket}/a/day.csv") as file:
        assert (file.size(), file.read_at(5, 12_345_678)) == (len(data), data[12_345_678:12_345_683])


def test_a_stream_may_be_closed_half_read(bucket: str) -> None:
    put(f"{bucket}/day.csv", BLOCK * 9)
    with STORE.open_stream(f"{bucket}/day.csv") as stream:
        assert stream.read(3) == BLOCK[:3]


def test_a_listing_has_names_sizes_and_folders_and_nothing_deeper(bucket: str) -> None:
    for name in ("b.csv", "a.csv", "day/part-0.csv", "day/_SUCCESS"):
        put(f"{bucket}/inbox/{name}", name.encode())
    found = [(info.name, info.size_bytes, info.is_folder) for info in STORE.list_folder(f"{bucket}/inbox")]
    assert found == [("a.csv", 5, False), ("b.csv", 5, False), ("day", 0, True)]
    assert STORE.list_folder(f"{bucket}/nothing") == []
    assert STORE.find(f"{bucket}/inbox/day").is_folder
    assert STORE.find(f"{bucket}/inbox/c.csv") is None


@pytest.mark.parametrize(("limit", "passes_here"), [(1 << 20, False), ((1 << 20) - 1, True)])
def test_a_copy_has_the_same_bytes(bucket: str, limit: int, passes_here: bool) -> None:
    read = []

    class Noting(ObjectStore):
        def open_stream(self, url: str) -> ObjectStream:
            read.append(url)
            return super().open_stream(url)

    put(f"{bucket}/a", BLOCK)
    Noting(retry_s=5, copy_limit_bytes=limit).copy(f"{bucket}/a", f"{bucket}/b/c")
    assert get(f"{bucket}/b/c") == get(f"{bucket}/a") == BLOCK
    assert bool(read) is passes_here


def test_another_writing_has_another_tag(bucket: str) -> None:
    url = put(f"{bucket}/a", b"one")
    first = STORE.tag(url)
    assert STORE.tag(url) == first
    put(url, b"two")
    assert STORE.tag(url) != first


def test_a_write_that_fails_leaves_nothing(bucket: str) -> None:
    class Failing:
        left = 12

        def read(self, _size: int, /) -> bytes:
            self.left -= 1
            if not self.left:
                raise InputError("the file is cut short")
            return BLOCK

    with pytest.raises(InputError, match="cut short"):
        STORE.write(Failing(), f"{bucket}/a")
    assert STORE.find(f"{bucket}/a") is None


def test_what_is_not_there_is_told(bucket: str) -> None:
    STORE.delete(f"{bucket}/nothing")
    for act in (STORE.tag, STORE.open_stream, STORE.open_random, lambda url: STORE.copy(url, f"{bucket}/b")):
        with pytest.raises(NotFoundError, match=rf"must be there.*{bucket}/nothing"):
            act(f"{bucket}/nothing")


def test_a_bucket_that_is_not_there_is_told_at_once(bucket: str) -> None:
    began = time.monotonic()
    for act in (STORE.list_folder, lambda url: put(url, b"x")):
        with pytest.raises(InputError, match=r"bucket .* must exist.*NO_SUCH_BUCKET.*s3://no-such-bucket/a"):
            act("s3://no-such-bucket/a")
    assert time.monotonic() - began < 5


def test_refused_keys_are_told_at_once_and_not_printed(bucket: str, s3_server: str) -> None:
    with refuse_keys(s3_server), pytest.raises(InputError, match="credentials must permit") as caught:
        STORE.list_folder(f"{bucket}/inbox")
    assert not any(secret in str(caught.value) for secret in (KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]))
    assert caught.value.place == f"{bucket}/inbox"


def test_a_store_that_comes_back_is_waited_for(bucket: str, relay: Relay) -> None:
    put(f"{bucket}/a", BLOCK * 60)
    with STORE.open_stream(f"{bucket}/a") as stream:
        read = stream.read(1 << 20)
        relay.shut()
        threading.Timer(2.5, relay.open).start()
        began = time.monotonic()
        read += b"".join(iter(lambda: stream.read(1 << 20), b""))
    assert read == BLOCK * 60
    assert time.monotonic() - began > 2


def test_a_store_that_stays_away_is_told_after_the_stated_time(bucket: str, relay: Relay) -> None:
    relay.shut()
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=rf"must answer.*NETWORK_CONNECTION.*{bucket}/inbox"):
        ObjectStore(retry_s=1.5).list_folder(f"{bucket}/inbox")
    assert 0.5 < time.monotonic() - began < 4


def test_no_client_starts_before_its_first_use() -> None:
    code = "import os, include.ingest.store, include.ingest.inbox; print(*sorted(os.listdir('/proc/self/task')))"
    alone = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("include.ingest.store, include.ingest.inbox", "pyarrow.dataset, deltalake"),
        ],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert len(ours.stdout.split()) <= len(alone.stdout.split())
