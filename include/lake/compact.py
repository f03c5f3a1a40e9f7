"""Compaction: many small files of a table become one, and not a row changes.

A catalog table grows by a file a commit, and a read by the time to open it. Merging leaves every earlier version as it
was: the small files stay until no version of the audit window needs them (`include.lake.retention`). Each such commit
says in its metadata that it is neutral, so the catalog needs no row for it.

Deltalake does not notice when two processes compact the same files: both succeed, and every row is there twice (seen
with 1.6.6). So a table is compacted under a lock of its own, and opened only once that is held. Appends may go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from filelock import FileLock

from include.lake.catalog import NEUTRAL
from include.lake.data_files import commit_files, write_file
from include.lake.files import partition_values
from include.lake.reads import list_files, read_partitions
from include.lake.tables import BARS, Table, find_table

SMALL_FILES = 50
"""Small files that an unpartitioned table may have before `compact_small` merges them."""

SMALL_BYTES = 16 << 20
"""Files of this size and above are left alone: merging them again would cost more than opening them."""


@dataclass(frozen=True)
class Compaction:
    """What was, or would be, merged: `files` small files of `partitions` partitions, `size_bytes` together."""

    table: str
    partitions: int
    files: int
    size_bytes: int


def compact_small(lake: Path, table: Table) -> bool:
    """Merge the small files of an unpartitioned table once there are many; cheap enough to call after each append.

    Call it for a table that the catalog names under `lock_lake`, for any other without.

    Returns
    -------
    bool
        Whether there were enough to merge.
    """
    found = find_table(lake, table)
    if found is None or _count_small(found) < SMALL_FILES:
        return False
    with _lock_compaction(lake, table):
        opened = DeltaTable(table.path(lake))
        if enough := _count_small(opened) >= SMALL_FILES:  # else another process has been faster
            _merge_files(opened)
    return enough


def plan_compaction(lake: Path, table: Table) -> Compaction:
    """Say which small files `compact_table` would merge: those of partitions that have several."""
    files = list_files(DeltaTable(table.path(lake)))
    small = files.filter(pc.less(files["size_bytes"], SMALL_BYTES))
    if table.partition is None:
        several = small.slice(0, small.num_rows if small.num_rows > 1 else 0)
        return Compaction(table.name, int(several.num_rows > 0), several.num_rows, _sum_bytes(several))
    values = pc.value_counts(partition_values(small).combine_chunks())
    crowded = values.field("values").filter(pc.greater(values.field("counts"), 1))
    several = small.filter(pc.is_in(partition_values(small), crowded))
    return Compaction(table.name, len(crowded), several.num_rows, _sum_bytes(several))


def compact_table(lake: Path, table: Table) -> Compaction:
    """Merge the small files of each partition that has several; call it as `compact_small`."""
    with _lock_compaction(lake, table):
        planned = plan_compaction(lake, table)
        if planned.files and table == BARS:
            _rewrite_sessions(lake)
        elif planned.files:
            _merge_files(DeltaTable(table.path(lake)))
    return planned


def _merge_files(opened: DeltaTable) -> None:
    opened.optimize.compact(
        target_size=SMALL_BYTES,
        commit_properties=CommitProperties(custom_metadata={NEUTRAL: "true"}),
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
    )


def _rewrite_sessions(lake: Path) -> None:
    """Write each session that lies in several files anew as one, sorted by symbol as ingest writes it."""
    opened = DeltaTable(BARS.path(lake))
    counted = pc.value_counts(partition_values(list_files(opened)).combine_chunks())
    sessions: list[date] = counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist()
    added = []
    for session in sessions:
        rows = read_partitions(opened, "session", [session]).select(BARS.schema.names).cast(BARS.schema)
        added.append(write_file(lake, BARS, session, rows.sort_by("symbol")))
    commit_files(lake, BARS, added, replaced=sessions, metadata={NEUTRAL: "true"})


@contextmanager
def _lock_compaction(lake: Path, table: Table) -> Iterator[None]:
    with FileLock(lake / f".compact.{table.name}.lock"):
        yield


def _count_small(opened: DeltaTable) -> int:
    return int(pc.sum(pc.less(list_files(opened)["size_bytes"], SMALL_BYTES)).as_py() or 0)


def _sum_bytes(files: object) -> int:
    return int(pc.sum(files["size_bytes"]).as_py() or 0)  # type: ignore[index]
