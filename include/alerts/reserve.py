"""Room on the disk that is given up when there is no other, so that a full disk can still be kept and told of."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from include.settings import Settings

RESERVE_BYTES = 4 << 20
"""The database writes a few kilobytes an incident; others who wait for room will take their part."""

_ENOUGH = 16
"""Reserves that must fit before one is laid by again."""


def keep_reserve(settings: Settings) -> None:
    """Lay the reserve by, where there is none and there is plenty of room."""
    path = _path(settings)
    with contextlib.suppress(OSError):  # a file system without it does without a reserve
        if not path.exists() and shutil.disk_usage(path.parent).free > _ENOUGH * RESERVE_BYTES:
            with path.open("xb") as out:
                os.posix_fallocate(out.fileno(), 0, RESERVE_BYTES)


def free_reserve(settings: Settings) -> bool:
    """Give the reserve up; whether there was one."""
    try:
        _path(settings).unlink()
    except OSError:
        return False
    return True


def _path(settings: Settings) -> Path:
    return settings.alerts / "reserve"
