"""Upkeep of the lake: merge small files, then remove what nothing needs any more. A dry run says what it would do.

Each step stands alone and can be killed: a merge is one commit, and a removal that did not happen is planned again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from deltalake import DeltaTable

from include.disk import explain_disk
from include.lake.catalog import recover_lake
from include.lake.compact import Compaction, compact_table, plan_compaction
from include.lake.retention import Removal, plan_removals
from include.lake.tables import (
    ADHOC_PREDICTIONS,
    BARS,
    PREDICTIONS,
    PROMOTIONS,
    QUARANTINE,
    RESTATEMENTS,
    UPLOADS,
    VALIDATIONS,
    lock_lake,
)
from include.settings import Settings

TABLES = (BARS, QUARANTINE, RESTATEMENTS, UPLOADS, VALIDATIONS, PREDICTIONS, ADHOC_PREDICTIONS, PROMOTIONS)


@dataclass(frozen=True)
class MaintenanceReport:
    """What was done, or with `dry_run` what would be."""

    dry_run: bool
    compactions: list[Compaction]
    removals: list[Removal]

    @property
    def freed_bytes(self) -> int:
        """Bytes of the files that go."""
        return sum(removal.size_bytes for removal in self.removals)

    def summary(self) -> str:
        """Return one line for people."""
        merged = sum(compaction.files for compaction in self.compactions)
        verbs = ("would merge", "would remove") if self.dry_run else ("merged", "removed")
        return (
            f"{verbs[0]} {merged:,} small file(s) of {len(self.compactions)} table(s),"
            f" {verbs[1]} {len(self.removals):,} file(s), {self.freed_bytes / 1e6:,.1f} MB"
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
        The end of the audit window; the present by default.
    """
    now = now or datetime.now(UTC)
    if not settings.lake.is_dir():
        return MaintenanceReport(dry_run, [], [])
    tables = [table for table in TABLES if DeltaTable.is_deltatable(table.path(settings.lake))]
    if dry_run:
        compactions = [plan_compaction(settings.lake, table) for table in tables]
        return _report(compactions, plan_removals(settings, tables, now=now), dry_run=True)
    with explain_disk("the lake", str(settings.lake)), lock_lake(settings.lake):
        recover_lake(settings.lake)
        compactions = [compact_table(settings.lake, table) for table in tables]
        removals = plan_removals(settings, tables, now=now)
        for removal in removals:
            _carry_out(removal)
    return _report(compactions, removals, dry_run=False)


def _carry_out(removal: Removal) -> None:
    """Remove a file, and the folder of an upload in parts once it is empty: a folder there counts as kept."""
    with suppress(FileNotFoundError):
        removal.path.unlink()
    if removal.area == "uploads":
        with suppress(OSError):
            removal.path.parent.rmdir()


def _report(compactions: list[Compaction], removals: list[Removal], *, dry_run: bool) -> MaintenanceReport:
    return MaintenanceReport(dry_run, [each for each in compactions if each.files], removals)
