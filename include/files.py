"""Files that a reader finds whole: the old one or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


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
