"""A real file as the cube that models learn from: read, judged and kept as an upload, then read back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from include.ingest.ingest import ingest_upload
from include.lake.bars import BarCube, open_bars, read_cube
from include.lake.files import list_sessions
from include.market.sessions import guess_calendar
from include.settings import Settings
from include.uploads.read import read_upload


def read_file(path: Path) -> BarCube:
    """Ingest a file into a home of its own, which is gone afterwards, and read all of its bars."""
    calendar = guess_calendar(read_upload(path).bars.sessions())
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), calendar=calendar, _env_file=None)
        ingest_upload(settings, path)
        bars = open_bars(settings.lake)
        return read_cube(bars, list_sessions(bars))
