"""A step that is done once: a folder, done once its marker holds the hash of every file in it.

A step is done again unless it is done and whole, so that a retrain whose process died goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from include.disk import explain_disk
from include.files import write_atomically
from include.provenance import code_version
from include.registry.artifact import hash_file

DONE = "done.json"


def run_step(folder: Path, work: Callable[[Path], None], *, basis: Mapping[str, str] | None = None) -> bool:
    """Do a step in its own folder, which is empty then, unless it is done; one process at a time.

    Parameters
    ----------
    folder
        Of the step. Where the work fails nothing stays of it.
    work
        Fills it.
    basis
        What the step builds on, by name; where that is other than it was, the step is done again.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    UnavailableError
        No room is left on the disk.
    InputError
        There is no right to write.
    """
    with explain_disk("the record of a retrain", str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if is_done(folder, basis):
                return False
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                work(folder)
                said = {"files": _hash_files(folder), "basis": dict(basis or {}), "code_version": code_version()}
                write_json(folder / DONE, said)
            except Exception:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return True


def is_done(folder: Path, basis: Mapping[str, str] | None = None) -> bool:
    """Whether a step was done, its files are as it left them, and it built on this, where that is asked."""
    try:
        said = json.loads((folder / DONE).read_text())
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(said, dict) or said.get("files") != _hash_files(folder):
        return False
    return basis is None or said.get("basis") == basis


def hash_record(*folders: Path) -> str:
    """Return the SHA-256 of what steps have left, by the hashes in their markers, for a step that builds on them."""
    said = [json.loads((folder / DONE).read_text())["files"] for folder in folders]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _hash_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DONE)
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def write_json(path: Path, said: Any) -> None:
    """Write plain values, dates among them, so that a reader finds all of the text or none."""
    write_atomically(path, json.dumps(said, indent=1, default=date.isoformat, allow_nan=True))
