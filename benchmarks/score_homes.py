"""Homes to score in: one model in Production, beside bars of any size, written file by file without an upload."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from benchmarks.lake_growth import write_session
from benchmarks.prepare import LAST_SESSION
from include.lake.tables import BARS, UPLOADS
from include.settings import Settings
from include.steps import OpenStep


def copy_home(prepared: Settings, home: Path, open_step: OpenStep, *, symbols: int, sessions: int) -> Settings:
    """Give another home the registry of a prepared one, and bars of `sessions` sessions up to `LAST_SESSION`.

    The log has a commit a session, as that of a lake that lived so long; no symbol is ever missing.
    """
    settings = prepared.model_copy(update={"home": home})
    without = shutil.ignore_patterns(BARS.name, UPLOADS.name, "exchange", "training", "scratch")
    shutil.copytree(prepared.home, home, ignore=without)
    line = open_step(f"Write {symbols:,} symbols, {sessions:,} sessions")
    first = LAST_SESSION - timedelta(days=sessions - 1)
    for number in range(sessions):
        write_session(settings.lake, number + 1, first + timedelta(days=number), symbols)
        line.update(number + 1, sessions, f"{number + 1:,} sessions")
    line.finish(f"{symbols * sessions:,} bars")
    return settings
