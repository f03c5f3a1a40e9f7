"""Whether a session's data is here: what a run waits for before it begins.

Either a finished upload of the session waits in the inbox, or the lake holds the session already, from a bulk load or
an earlier run. A stray row, such as one wrong date in the file of another session, is no session: there must be at
least half as many rows as in the session before it in the lake. A market does not halve overnight; a session that has
less waits for its upload.
"""

from __future__ import annotations

import os
from datetime import date
from functools import lru_cache
from pathlib import Path

from include.ingest.inbox import has_arrived
from include.settings import Settings

_LEAST_SHARE = 0.5  # of the rows of the session before


def is_session_here(settings: Settings, session: date) -> bool:
    """Tell whether a session has an upload in the inbox, or its rows in the lake.

    Raises
    ------
    InputError
        The inbox may not be read, or the bucket is not there.
    UnavailableError
        The object store does not answer.
    """
    return has_arrived(settings, session) or is_in_lake(settings.lake, session)


def is_in_lake(lake: Path, session: date) -> bool:
    """Tell whether committed bars hold a session, and not just a stray row of it."""
    newest = _newest_commit(lake / "uploads" / "_delta_log")
    rows = _count_rows(lake, newest) if newest else {}
    before = max((day for day in rows if day < session), default=None)
    least = _LEAST_SHARE * rows[before] if before else 1
    return rows.get(session, 0) >= least


def _newest_commit(log: Path) -> str | None:
    """Name the catalog's newest commit: a look a second must not open bars each time (30 ms at ten years)."""
    try:
        return max((name for name in os.listdir(log) if name.endswith(".json")), default=None)  # noqa: PTH208  no Path a file
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2)
def _count_rows(lake: Path, _newest_commit: str) -> dict[date, int]:
    """Count the rows of each session by the table's log, without opening a file of it."""
    from include.lake.catalog import find_committed
    from include.lake.reads import list_files
    from include.lake.tables import BARS

    bars = find_committed(lake, BARS)
    if bars is None:
        return {}
    key = f"partition.{BARS.partition}"
    counted = list_files(bars).group_by(key).aggregate([("num_records", "sum")]).to_pylist()
    return {row[key]: row["num_records_sum"] or 0 for row in counted}
