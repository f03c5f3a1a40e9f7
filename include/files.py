"""Files that a reader finds whole: the old one or the new one, never a part."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def hold_partial(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which gets its name at the end; of one that fails nothing stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def open_placed(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that gets its name when all of it is written; of one that fails nothing stays."""
    with hold_partial(path) as partial, partial.open("xb") as out:
        yield out


def write_atomically(path: Path, text: str) -> None:
    """Write a small file."""
    with hold_partial(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
