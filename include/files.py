"""Files that a reader finds whole: the old one or the new one, never a part."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def open_placed(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that gets its name when all of it is written; of one that fails nothing stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        with partial.open("xb") as out:
            yield out
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def place_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, under a name of this process, and put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a small file."""

    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8", newline="")

    place_file(path, write)
