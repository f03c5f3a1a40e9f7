"""Uploads spoilt by chance, the same ones for the same seed: real files and answer files, a piece of each, mutated.

A mutation knows nothing of the readers. The first ones work on bytes, the others on text, on what a container holds or
on cells; several may fall on one file.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.settings import PROJECT_ROOT

Random = np.random.Generator
Mutation = Callable[[Random, bytes], bytes]

_ROWS = 200
_ANSWERS = PROJECT_ROOT / "tests" / "data" / "uploads"
_HOSTILE_CELLS = (
    *(b"../../etc/passwd", b"=HYPERLINK(1)", b"@SUM(A1)", b"C:\\x", b"a/b", b"..", b"%2e%2e", b"\x00", b"A\x00B"),
    *(b'"', b'""', b"'", b"\r", b"\n", b'"\n"', b",", b"\t", b"1e999", b"-1e-999", b"inf", b"-nan", b"0x1p3", b"1_0"),
    *(b"20180625", b"2018-W26-1", b"25/06/2018", b"6/25/2018", b"2018-06-25T12:00", b"9999-12-31", b"0000-00-00"),
    *(b"\xff\xfe", b"caf\xe9", "é".encode(), "\u202e".encode(), "\ufffd".encode(), b"\xed\xa0\x80", b"x" * 70_000),
)


def load_originals(shared_data: Path | None) -> dict[str, bytes]:
    """Give whole small uploads by name: the answer files, and the beginning of each real file in every form."""
    found = {path.name: path.read_bytes() for path in sorted(_ANSWERS.glob("*.csv"))}
    for path in sorted(shared_data.glob("*")) if shared_data else []:
        if path.name.endswith(".csv.gz"):
            with gzip.open(path) as file:
                found[path.name[:-3]] = b"".join(file.readline() for _ in range(_ROWS))
        elif path.suffix == ".parquet":
            found[path.name] = _write_parquet(next(pq.ParquetFile(path).iter_batches(_ROWS)))
    for name, content in list(found.items()):
        if name.endswith(".csv"):
            found[f"{name}.gz"] = gzip.compress(content, mtime=0)
            found[f"{name}.zst"] = pa.compress(content, "zstd", asbytes=True)
    return found


def mutate(originals: dict[str, bytes], seed: int, index: int) -> tuple[str, bytes]:
    """Make one spoilt upload: its name and its bytes."""
    random = np.random.default_rng([seed, index])
    name = str(random.choice(sorted(originals)))
    content = originals[name]
    for _ in range(int(random.integers(1, 4))):
        content = _mutate_once(random, name, content)
    return name, content


def _mutate_once(random: Random, name: str, content: bytes) -> bytes:
    if name.endswith((".gz", ".zst")) and random.random() < 0.7:
        return _inside(random, name, content)
    kinds = _ON_BYTES if name.endswith((".gz", ".zst", ".parquet")) else [*_ON_BYTES, *_ON_TEXT, *_ON_TEXT]
    kind = kinds[int(random.integers(len(kinds)))]
    return kind(random, content)


def _inside(random: Random, name: str, content: bytes) -> bytes:
    """Mutate what a container holds and pack it again; one that is spoilt already is spoilt further."""
    try:
        text = gzip.decompress(content) if name.endswith(".gz") else _unpack_zstd(content)
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowInvalid):
        return _flip(random, content)
    text = _ON_TEXT[int(random.integers(len(_ON_TEXT)))](random, text)
    return gzip.compress(text, mtime=0) if name.endswith(".gz") else pa.compress(text, "zstd", asbytes=True)


def _unpack_zstd(content: bytes) -> bytes:
    unpacked: bytes = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    return unpacked


def _write_parquet(batch: pa.RecordBatch) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), file, compression="zstd")
    return file.getvalue()


def _place(random: Random, content: bytes) -> int:
    return int(random.integers(len(content) + 1))


def _flip(random: Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(int(random.integers(1, 9))):
        if spoilt:
            spoilt[int(random.integers(len(spoilt)))] ^= 1 << int(random.integers(8))
    return bytes(spoilt)


def _flip_end(random: Random, content: bytes) -> bytes:
    """Flip where a Parquet file says what is in it."""
    cut = max(0, len(content) - 2000)
    return content[:cut] + _flip(random, content[cut:])


def _truncate(random: Random, content: bytes) -> bytes:
    return content[: _place(random, content)]


def _behead(random: Random, content: bytes) -> bytes:
    return content[_place(random, content) :]


def _remove(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    return content[:at] + content[at + int(random.integers(1, 200)) :]


def _repeat(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    piece = content[at : at + int(random.integers(1, 2000))]
    return content[:at] + piece * int(random.integers(1, 50)) + content[at:]


def _insert(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    return content[:at] + random.bytes(int(random.integers(1, 40))) + content[at:]


def _insert_zeros(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    return content[:at] + bytes(int(random.integers(1, 40))) + content[at:]


def _put_cell(random: Random, content: bytes) -> bytes:
    """Put something hostile in place of one cell."""
    lines = content.split(b"\n")
    at = int(random.integers(len(lines)))
    cells = lines[at].split(b",")
    cells[int(random.integers(len(cells)))] = _HOSTILE_CELLS[int(random.integers(len(_HOSTILE_CELLS)))]
    lines[at] = b",".join(cells)
    return b"\n".join(lines)


def _swap_lines(random: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at, other = random.integers(len(lines), size=2)
    lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


def _repeat_column(random: Random, content: bytes) -> bytes:
    return b"\n".join(line + b"," + line.split(b",")[0] for line in content.split(b"\n"))


def _add_bom(_: Random, content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def _end_with_crlf(_: Random, content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def _end_with_cr(_: Random, content: bytes) -> bytes:
    return content.replace(b"\n", b"\r")


def _as_utf16(_: Random, content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode("utf-16")


def _as_latin1(random: Random, content: bytes) -> bytes:
    at = _place(random, content)
    return content[:at] + "é".encode("latin-1") + content[at:]


def _spoil_some_lines(random: Random, content: bytes) -> bytes:
    """Cut a good part of all lines short."""
    return b"\n".join(line[:-9] if random.random() < 0.3 else line for line in content.split(b"\n"))


_ON_BYTES: list[Mutation] = [
    *(_flip, _flip_end, _truncate, _behead, _remove, _repeat, _insert, _insert_zeros),
]
_ON_TEXT: list[Mutation] = [
    *(_put_cell, _put_cell, _put_cell, _swap_lines, _repeat_column, _add_bom, _end_with_crlf, _end_with_cr),
    *(_as_utf16, _as_latin1, _spoil_some_lines, _flip, _truncate, _remove, _repeat, _insert_zeros),
]
