"""An upload's bytes in order: hashed, reported, unpacked and cut into blocks of whole lines in one pass.

What a stream may cost is bounded here: a row has at most 64 MiB, and what a compressed file unpacks to has a limit, so
that neither a line without an end nor a few bytes that unpack to terabytes can fill memory or disk.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pyarrow as pa

from include.errors import InputError
from include.uploads.source import Stream

Progress = Callable[[int, int, str], None]
"""Takes bytes done, bytes in all, and words for people: bytes, rows, rate, time left."""

ROW_BYTES = 64 << 20
UNPACKED_FREE_BYTES = 4 << 30
UNPACKED_TIMES = 200

_BLOCK_BYTES = 8 << 20
_LARGEST_BLOCK_BYTES = 16 << 20
_ROWS_A_BLOCK = 8
_CALL_SECONDS = 0.1


class Meter:
    """Counts bytes done and says so at most ten times a second, and once at the end.

    Parameters
    ----------
    on_progress
        Called with bytes done, bytes in all and words; None says nothing.
    total
        Bytes in all.
    count_rows
        Gives the rows that are read so far.
    """

    def __init__(self, on_progress: Progress | None, total: int, count_rows: Callable[[], int] = int) -> None:
        self._on_progress, self._total, self._count_rows = on_progress, total, count_rows
        self._done, self._next_call, self._started = 0, 0.0, time.monotonic()

    def add(self, count: int) -> None:
        """Count some bytes as done."""
        self._done += count
        now = time.monotonic()
        if self._on_progress and count and (now >= self._next_call or self._done >= self._total):
            self._next_call = now + _CALL_SECONDS
            said = _describe(self._done, self._total, self._count_rows(), now - self._started)
            self._on_progress(self._done, self._total, said)


def _describe(done: int, total: int, rows: int, seconds: float) -> str:
    """Say how far a reading is.

    Examples
    --------
    >>> _describe(250_000_000, 1_000_000_000, 1_234_567, 5.0)
    '250 of 1,000 MB, 1,234,567 rows, 50 MB/s, 15 s left'
    """
    rate = done / max(seconds, 1e-3)
    left = f", {(total - done) / rate:.0f} s left" if done < total else ""
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {rows:,} rows, {rate / 1e6:,.0f} MB/s{left}"


class HashedStream:
    """A stream that hashes what is read from it.

    Parameters
    ----------
    stream
        Open; left to the one who opened it.
    meter
        Told of every byte.
    """

    closed = False

    def __init__(self, stream: Stream, meter: Meter) -> None:
        self._stream, self._meter = stream, meter
        self._hash, self._ahead = hashlib.sha256(), b""
        self._is_stopped = False

    def peek(self, size: int) -> bytes:
        """Give the first bytes and leave them to be read."""
        while len(self._ahead) < size and (more := self._take(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Read and hash."""
        if self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        return self._take(size)

    def finish(self) -> str:
        """Read what is left and give the hash of all bytes, in hexadecimal."""
        while not self._is_stopped and self._take(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Let `finish`, in another thread, end early: its hash is no longer wanted."""
        self._is_stopped = True

    def close(self) -> None:
        """Leave the stream to the one who opened it."""

    def _take(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._hash.update(block)
        self._meter.add(len(block))
        return block


class Unpacked:
    """The text of a CSV upload, unpacked where it is compressed.

    Parameters
    ----------
    stream
        The bytes as they came.
    compression
        "gzip", "zstd" or None.
    size_bytes
        Of the file as it came.
    place
        File name, for messages.
    """

    def __init__(self, stream: HashedStream | Stream, compression: str | None, size_bytes: int, place: str) -> None:
        packed = pa.PythonFile(stream, mode="r") if compression else stream
        self._stream = pa.CompressedInputStream(packed, compression) if compression else stream
        self._place, self._done = place, 0
        self._limit = max(UNPACKED_FREE_BYTES, UNPACKED_TIMES * size_bytes) if compression else None

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes, fewer only at the end.

        Raises
        ------
        InputError
            More was unpacked than a file of this size may hold.
        """
        block = self._stream.read(size)
        if 0 < len(block) < size:
            pieces, missing = [block], size - len(block)
            while missing and (more := self._stream.read(missing)):
                pieces.append(more)
                missing -= len(more)
            block = b"".join(pieces)
        self._done += len(block)
        if self._limit is not None and self._done > self._limit:
            rule = f"a compressed upload must not unpack to more than {UNPACKED_TIMES} times its size"
            raise InputError(f"{rule}, 4 GiB apart", value=f"more than {self._limit:,} bytes", place=self._place)
        return bytes(block)


class Block(NamedTuple):
    """Some whole lines; `offset` is where they begin in the text, in bytes."""

    data: bytes
    offset: int


def cut_blocks(text: Unpacked, head: bytes, offset: int, place: str) -> Iterator[Block]:
    """Cut text at line ends, into blocks that hold a few rows at least.

    Parameters
    ----------
    text
        The rest of the text.
    head
        What of it was read already.
    offset
        Where `head` begins.
    place
        File name, for messages.

    Raises
    ------
    InputError
        A line is longer than a row may be.
    """
    pieces: list[bytes] = []
    held, size = 0, _BLOCK_BYTES
    data = head or text.read(size)
    while data:
        cut = _last_line_end(data)
        first = _first_line_end(data) if cut else len(data)
        if held + first > ROW_BYTES:
            value = f"{held + first:,} bytes without a line end from byte {offset:,}"
            raise InputError("a row must not be longer than 64 MiB", value=value, place=place)
        if cut:
            yield Block(b"".join([*pieces, memoryview(data)[:cut]]), offset)
            offset += held + cut
            pieces, held = [data[cut:]], len(data) - cut
        else:
            pieces.append(data)
            held += len(data)
        if first * _ROWS_A_BLOCK > size:
            size = min(2 * size, _LARGEST_BLOCK_BYTES)
        data = text.read(size)
    if held:
        yield Block(b"".join(pieces), offset)


def _last_line_end(data: bytes) -> int:
    # A carriage return at the very end may be half of a line end.
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1


def _first_line_end(data: bytes) -> int:
    return data.find(b"\n") + 1 or data.find(b"\r") + 1
