"""A SQLite file that is damaged is set aside, so that what happens next is kept and told in a new one."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_TIMEOUT_S = 1.0

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger(__name__)


def is_damage(error: object) -> bool:
    """Whether an error of SQLite says that the file itself is broken: no waiting mends that."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def set_aside(file: Path) -> None:
    """Rename a damaged database, unless another process has done so."""
    with contextlib.suppress(OSError, Timeout), FileLock(file.with_name(f"{file.name}.lock"), timeout=LOCK_TIMEOUT_S):
        if not _is_damaged(file):
            return
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                file.with_name(file.name + suffix).rename(f"{file}.damaged-{int(time.time())}{suffix}")
        log.error("the database of incidents was damaged and is set aside; a new one is begun: %s", file)


def _is_damaged(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return is_damage(error)
