"""What one upload changes in the lake, gathered group by group and committed table by table.

Data files of bars are written as the groups come, by two threads, and belong to nothing until the one commit that names
them all; so memory holds one group of sessions, whatever the upload's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from include.ingest.judge import Verdict
from include.ingest.merge import Merge, merge_sessions
from include.lake.catalog import LakeState, find_committed
from include.lake.tables import (
    BARS,
    QUARANTINE,
    RESTATEMENTS,
    append_rows,
    commit_files,
    list_partitions,
    read_partitions,
    replace_partitions,
    write_file,
)

_WRITERS = 2


@dataclass(frozen=True)
class Stamp:
    """What every row of one upload carries."""

    sha256: str
    at: datetime

    def onto(self, rows: pa.Table) -> pa.Table:
        """Add upload_sha256 and ingested_at; one text for all rows, not one a row."""
        zeros = pa.array(np.zeros(rows.num_rows, dtype=np.int8))
        moment = pa.repeat(pa.scalar(self.at, BARS.schema.field("ingested_at").type), rows.num_rows)
        named = rows.append_column("upload_sha256", pa.DictionaryArray.from_arrays(zeros, [self.sha256]))
        return named.append_column("ingested_at", moment).select(BARS.schema.names)


class LakeChanges:
    """Gathers the verdicts of one upload; `commit` writes quarantine, bars and restatements, each in one commit.

    Parameters
    ----------
    lake
        Its folder; the caller holds `lock_lake` from before this is made until after `commit`.
    stamp
        Of the upload.
    """

    def __init__(self, lake: Path, stamp: Stamp) -> None:
        self._lake, self._stamp = lake, stamp
        self._bars: DeltaTable | None = find_committed(lake, BARS)
        self._present = set(list_partitions(self._bars)) if self._bars else set()
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._files: list[Future[AddAction]] = []
        self._replaced: set[date] = set()
        self._sessions: set[date] = set()
        self._restatements: list[pa.Table] = []
        self.refused: list[pa.Table] = []
        self.counts: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        """Take the verdict on a group of whole sessions: its files are written, its refused rows kept."""
        self.refused.append(verdict.refused)
        self.counts.update(accepted=verdict.accepted.num_rows, duplicates=verdict.duplicates)
        sessions = verdict.accepted["session"].unique().to_pylist()
        self._sessions.update(sessions)
        there = sorted(self._present.intersection(sessions))
        before = read_partitions(self._bars, "session", there) if self._bars and there else BARS.schema.empty_table()
        merged = merge_sessions(before, self._stamp.onto(verdict.accepted), at=self._stamp.at)
        self.counts.update(added=merged.added, restated=merged.restated, unchanged=merged.unchanged)
        self._write(merged)

    def _write(self, merged: Merge) -> None:
        self._restatements.append(merged.restatements)
        for session, rows in _split_sessions(merged.rows):
            self._files.append(self._pool.submit(write_file, self._lake, BARS, session, rows))
            self._replaced.add(session)

    @property
    def sessions(self) -> list[date]:
        """Sessions of which a row was accepted, oldest first."""
        return sorted(self._sessions)

    def commit(self, state: LakeState) -> dict[str, Any]:
        """Commit each table that changes and return the versions after it, by the catalog's column names."""
        return {
            "quarantine_version": self._commit_quarantine(state),
            "bars_version": self._commit_bars(state),
            "restatements_version": self._commit_restatements(state),
        }

    def _commit_quarantine(self, state: LakeState) -> int | None:
        refused = pa.concat_tables(self.refused, promote_options="permissive")
        self.counts["quarantined"] = refused.num_rows
        if not refused.num_rows:
            return state.quarantine
        named = {"upload_sha256": self._stamp.sha256, "quarantined_at": self._stamp.at, "resolved_by": None}
        for name, value in named.items():
            kind = QUARANTINE.schema.field(name).type
            refused = refused.append_column(name, pa.repeat(pa.scalar(value, kind), refused.num_rows))
        rows = refused.sort_by("row_number").select(QUARANTINE.schema.names)
        return replace_partitions(self._lake, QUARANTINE, rows, [self._stamp.sha256])

    def _commit_bars(self, state: LakeState) -> int | None:
        added = [file.result() for file in self._files]
        self._pool.shutdown()
        if not added:
            return state.bars
        metadata = {"closecast.upload": self._stamp.sha256}
        replaced = self._replaced & self._present
        return commit_files(self._lake, BARS, added, replaced=replaced, metadata=metadata)

    def _commit_restatements(self, state: LakeState) -> int | None:
        cells = pa.concat_tables(self._restatements) if self._restatements else RESTATEMENTS.schema.empty_table()
        return append_rows(self._lake, RESTATEMENTS, cells) if cells.num_rows else state.restatements


def _split_sessions(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Cut rows that are ordered by session into one table a session, without a copy."""
    days = rows["session"].cast(pa.int32()).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1), len(days)] if len(days) else []
    for start, end in pairwise(edges):
        part = rows.slice(start, end - start)
        yield part["session"][0].as_py(), _with_small_dictionary(part)


def _with_small_dictionary(rows: pa.Table) -> pa.Table:
    """Write out the symbols where most of their dictionary belongs to other sessions: a file would hold all of it."""
    symbol = rows["symbol"]
    if not pa.types.is_dictionary(symbol.type) or len(symbol.chunk(0).dictionary) < 2 * rows.num_rows:
        return rows
    return rows.set_column(rows.schema.get_field_index("symbol"), "symbol", symbol.cast(pa.string()))
