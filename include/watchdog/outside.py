"""What else is looked at from outside Airflow: the disk, the age of the newest forecasts, and the watchdog inside.

Pure: facts in, findings out.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

from include.alerts.incidents import Affected, Incident
from include.watchdog.deadlines import Close
from include.watchdog.findings import Findings, Sighting, judge_kinds

DISK, OLD, SILENT = "disk_full", "forecasts_old", "watch_failed"

FULL_LOOKS = 2

ROOM_AGAIN = 1.1
"""A full disk is well again with so many times the room it must have: at the limit it would be told again and again."""

MEGABYTE = 1_000_000

TOLD_ALREADY = ("run_failed/market_close", "forecasts_missing", "upload_missing", "gate_refused_session")
"""Keys, or kinds, of incidents that say why there are no new forecasts."""


def check_disk(free_bytes: int, *, least_bytes: int, known_keys: Collection[str]) -> Findings:
    """Judge the room on the home's disk."""
    key = f"{DISK}/home"
    limit = least_bytes * (ROOM_AGAIN if key in known_keys else 1)
    if free_bytes >= limit:
        return judge_kinds({DISK}, [], known_keys)
    incident = Incident(
        key=key,
        kind=DISK,
        summary="The home's disk is full",
        cause=f"{free_bytes // MEGABYTE:,} MB are free; {least_bytes // MEGABYTE:,} MB must be.",
    )
    return judge_kinds({DISK}, [Sighting(incident, FULL_LOOKS)], known_keys)


def check_age(late: Close | None, newest: date | None, known_keys: Collection[str]) -> Findings:
    """Judge the newest forecasts: `late` is the newest session that should have some by now and has none."""
    if late is None:
        return judge_kinds({OLD}, [], known_keys)
    if any(key in TOLD_ALREADY or key.partition("/")[0] in TOLD_ALREADY for key in known_keys):
        return Findings()
    incident = Incident(
        key=f"{OLD}/published",
        kind=OLD,
        summary=f"The newest forecasts are of session {newest}" if newest else "There are no forecasts",
        cause=f"Session {late.session} closed at {late.moment:%Y-%m-%d %H:%M} UTC, and its forecasts are not out.",
        affected=Affected(session=late.session, published=False),
    )
    return judge_kinds({OLD}, [Sighting(incident, FULL_LOOKS)], known_keys)


def check_silence(silent_for: timedelta, *, limit: timedelta, known_keys: Collection[str]) -> Findings:
    """Judge when the watchdog inside Airflow last looked; its own failed run says more."""
    if silent_for <= limit:
        return judge_kinds({SILENT}, [], known_keys)
    if "run_failed/watch_system" in known_keys:
        return Findings()
    incident = Incident(
        key=f"{SILENT}/watch_system",
        kind=SILENT,
        summary="watch_system does not look",
        cause=f"Its last look was {silent_for.total_seconds() / 60:,.0f} minutes ago. Nothing else says that it failed:"
        " it may be paused.",
    )
    return judge_kinds({SILENT}, [Sighting(incident, FULL_LOOKS)], known_keys)
