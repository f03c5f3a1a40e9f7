"""Where uploads land, and which of them belong to a session.

An upload for a session is a file in the inbox whose name holds the session as an ISO date (`2018-06-01.csv`,
`bars_2018-06-01.parquet`). It must be placed atomically: written under a hidden name or one that ends in .tmp or .part,
then renamed. Such names are never looked at.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from include.settings import Settings

UNFINISHED = (".tmp", ".part")


def is_in_inbox(settings: Settings, path: Path) -> bool:
    """Whether a file lies directly in the inbox."""
    return path.absolute().parent == settings.inbox


def list_arrived(settings: Settings, session: date) -> list[Path]:
    """Return the finished uploads of a session that wait in the inbox, sorted by name."""
    if not settings.inbox.is_dir():
        return []
    return sorted(path for path in settings.inbox.glob(f"*{session.isoformat()}*") if _is_finished(path))


def _is_finished(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix not in UNFINISHED
