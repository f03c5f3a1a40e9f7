"""Bytes in order: every byte in one block, whole lines, the hash, the limits, and progress that is not too frequent."""

from __future__ import annotations

import gzip
import hashlib
import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import InputError
from include.uploads import stream as upload_stream
from include.uploads.stream import HashedStream, Meter, Unpacked, cut_blocks


class Dribble(io.BytesIO):
    """A stream that gives less than it is asked for, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(max(1, (size or 0) // 3))


def read_all(text: Unpacked) -> int:
    return sum(len(block) for block in iter(lambda: text.read(1 << 16), b""))


def cut(content: bytes, head: int = 0) -> list[tuple[bytes, int]]:
    text = Unpacked(Dribble(content[head:]), None, len(content), "day.csv")
    return [tuple(block) for block in cut_blocks(text, content[:head], 7, "day.csv")]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\r\n", b"\r"]), max_size=60), st.integers(0, 9), st.data())
def test_blocks_are_whole_lines_and_hold_every_byte(pieces: list[bytes], head: int, data: st.DataObject) -> None:
    content = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload_stream, "_BLOCK_BYTES", data.draw(st.integers(1, 20)))
        blocks = cut(content, head)
    assert b"".join(block for block, _ in blocks) == content
    ends = [7]
    for block, _ in blocks:
        ends.append(ends[-1] + len(block))
    assert [offset for _, offset in blocks] == ends[:-1]
    assert sum(len(block.splitlines()) for block, _ in blocks) == len(content.splitlines())


def test_blocks_do_not_depend_on_how_the_bytes_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_stream, "_BLOCK_BYTES", 10)
    content = b"abc\nde\n\nfghij\nk" * 20
    whole = Unpacked(io.BytesIO(content), None, len(content), "day.csv")
    assert cut(content) == [(data, offset + 7) for data, offset in cut_blocks(whole, b"", 0, "day.csv")]


def test_long_rows_make_larger_blocks() -> None:
    row = b"x" * 3_300_000 + b"\n"
    sizes = [len(block) // len(row) for block, _ in cut(row * 30)]
    assert sum(sizes) == 30
    assert max(sizes) >= 4


@pytest.mark.parametrize("before", [b"", b"a\n"])
def test_a_row_has_a_longest_length(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(upload_stream, "ROW_BYTES", 100)
    monkeypatch.setattr(upload_stream, "_BLOCK_BYTES", 30)
    assert len(cut(before + b"x" * 90 + b"\n")) >= 1
    for endless in (before + b"x" * 130, before + b"x" * 130 + b"\n"):
        with pytest.raises(InputError, match=r"a row must not be longer than .*day\.csv"):
            cut(endless)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_what_a_few_bytes_unpack_to_has_a_limit(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(upload_stream, "UNPACKED_FREE_BYTES", 1 << 20)
    content = bytes(8 << 20)
    packed = gzip.compress(content) if form == "gzip" else pa.compress(content, form, asbytes=True)
    with pytest.raises(InputError, match="must not unpack to more than 200 times its size"):
        read_all(Unpacked(io.BytesIO(packed), form, len(packed), "day.csv.gz"))
    # A plain file, and one whose size allows for it, may be as long as they are.
    for free, stream, name in ((0, io.BytesIO(content), None), (16 << 20, io.BytesIO(packed), form)):
        monkeypatch.setattr(upload_stream, "UNPACKED_FREE_BYTES", free)
        assert read_all(Unpacked(stream, name, len(packed), "day.csv")) == len(content)


def test_hash_is_of_all_bytes_however_few_were_wanted() -> None:
    content = bytes(range(256)) * 100
    stream = HashedStream(Dribble(content), Meter(None, len(content)))
    assert stream.peek(4) == content[:4]
    assert stream.read(2) + stream.read(50) == content[:2] + content[2:4]
    assert stream.finish() == hashlib.sha256(content).hexdigest()


def test_progress_is_told_seldom_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    clock = iter(range(1000))
    monkeypatch.setattr(upload_stream.time, "monotonic", lambda: next(clock) / 100)
    meter = Meter(lambda done, total, _: calls.append((done, total)), 100)
    for _ in range(100):
        meter.add(1)
    assert calls[-1] == (100, 100)
    assert len(calls) == 11  # one second of clock, ten calls, and the end
