"""Upkeep of the lake: merge small files, then remove what nothing needs any more. A dry run says what it would do.

Each step stands alone and can be killed: a merge is one commit, and a removal that did not happen is planned again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.disk import explain_disk
from include.lake.catalog import read_operations, recover_lake
from include.lake.compact import Compaction, compact_table, plan_compaction
from include.lake.retention import Removal, plan_removals
from include.lake.tables import (
    ADHOC_PREDICTIONS,
    BARS,
    CALIBRATIONS,
    OUTCOMES,
    PREDICTIONS,
    PROMOTIONS,
    QUARANTINE,
    RESTATEMENTS,
    SCORING_RUNS,
    UPLOADS,
    VALIDATIONS,
    find_table,
    lock_lake,
)
from include.settings import Settings

TABLES = (
    BARS,
    QUARANTINE,
    RESTATEMENTS,
    UPLOADS,
    VALIDATIONS,
    PREDICTIONS,
    ADHOC_PREDICTIONS,
    SCORING_RUNS,
    OUTCOMES,
    CALIBRATIONS,
    PROMOTIONS,
)

CLOCK_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class MaintenanceReport:
    """What was done, or with `dry_run` what would be; ages were taken as of `as_of`, where the clock said `clock`."""

    dry_run: bool
    compactions: list[Compaction]
    removals: list[Removal]
    as_of: datetime
    clock: datetime

    @property
    def freed_bytes(self) -> int:
        """Bytes of the files that go."""
        return sum(removal.size_bytes for removal in self.removals)

    def summary(self) -> str:
        """Return one line for people."""
        merged = sum(compaction.files for compaction in self.compactions)
        verbs = ("would merge", "would remove") if self.dry_run else ("merged", "removed")
        held = f"; as of {self.as_of:%Y-%m-%d}, a day after the newest upload, not of today {self.clock:%Y-%m-%d}"
        return (
            f"{verbs[0]} {merged:,} small file(s) of {len(self.compactions)} table(s),"
            f" {verbs[1]} {len(self.removals):,} file(s), {self.freed_bytes / 1e6:,.1f} MB"
            + (held if self.as_of < self.clock else "")
        )


def maintain_lake(settings: Settings, *, dry_run: bool = False, now: datetime | None = None) -> MaintenanceReport:
    """Compact and clean a lake; uploads wait meanwhile, readers and scoring do not.

    Parameters
    ----------
    settings
        `audit_window_days` and `upload_retention_days` decide what is kept.
    dry_run
        Change nothing.
    now
        The end of the audit window; by default the present, or a day after the newest upload where that is earlier.
    """
    clock = now or datetime.now(UTC)
    if not settings.lake.is_dir():
        return MaintenanceReport(dry_run, [], [], clock, clock)
    now = now or bound_clock(settings.lake, clock)
    tables = [table for table in TABLES if find_table(settings.lake, table)]
    if dry_run:
        compactions = [plan_compaction(settings.lake, table) for table in tables]
        planned = plan_removals(settings, tables, now=now)
        return MaintenanceReport(dry_run, _that_merge(compactions), planned, now, clock)
    with explain_disk("the lake", str(settings.lake)), lock_lake(settings.lake):
        recover_lake(settings.lake)
        compactions = [compact_table(settings.lake, table) for table in tables]
        removals = plan_removals(settings, tables, now=now)
        for removal in removals:
            _carry_out(removal)
    return MaintenanceReport(dry_run, _that_merge(compactions), removals, now, clock)


def bound_clock(lake: Path, clock: datetime) -> datetime:
    """Give the time by the clock, but at most a day after the newest upload.

    A clock that is decades ahead would make all history old, and what is removed does not come back when it is set. A
    lake to which nothing comes any more keeps what it had.
    """
    newest = max((row["finished_at"] for row in read_operations(lake)), default=clock)
    return min(clock, newest + CLOCK_SLACK)


def _carry_out(removal: Removal) -> None:
    """Remove a file, and the folder of an upload in parts once it is empty: a folder there counts as kept."""
    with suppress(FileNotFoundError):
        removal.path.unlink()
    if removal.area == "uploads":
        with suppress(OSError):
            removal.path.parent.rmdir()


def _that_merge(compactions: list[Compaction]) -> list[Compaction]:
    return [each for each in compactions if each.files]
