"""What one upload changes in the lake, gathered group by group and committed table by table.

Data files of bars are written as the groups come, by two threads, and belong to nothing until the one commit that names
them all; so memory holds one group of sessions, whatever the upload's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from include.ingest.judge import Verdict, shape_refused
from include.ingest.levels import LEVEL, REASON, PriceLevels
from include.ingest.merge import merge_sessions
from include.lake.catalog import LakeState, find_committed
from include.lake.tables import (
    BARS,
    QUARANTINE,
    RESTATEMENTS,
    append_rows,
    commit_files,
    list_partitions,
    read_file,
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
        self._bars, self._quarantine = find_committed(lake, BARS), find_committed(lake, QUARANTINE)
        self._levels = PriceLevels(self._bars, self._quarantine, stamp.sha256)
        self._present = set(list_partitions(self._bars)) if self._bars else set()
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._files: dict[date, Future[AddAction]] = {}
        self._sessions: set[date] = set()
        self._restatements: list[pa.Table] = []
        self._resolved: list[pa.Table] = []
        self.refused: list[pa.Table] = []
        self.counts: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        """Take the verdict on a group of whole sessions: its files are written, its refused rows kept."""
        self.refused.append(verdict.refused)
        split = self._levels.judge(verdict.accepted)
        rows = verdict.accepted if split.accepted.all() else verdict.accepted.filter(pa.array(split.accepted))
        is_own = pc.equal(split.released["upload_sha256"], self._stamp.sha256)
        others = split.released.filter(pc.invert(is_own))
        self._resolved.append(others)
        own = split.released.num_rows - others.num_rows
        self.counts.update(accepted=rows.num_rows + own, duplicates=verdict.duplicates, released=others.num_rows)
        self._merge(self._stamp.onto(rows), split.released)
        self.counts["added"] -= others.num_rows

    def _merge(self, coming: pa.Table, released: pa.Table) -> None:
        if released.num_rows:
            moment = pa.repeat(pa.scalar(self._stamp.at, coming.schema.field("ingested_at").type), released.num_rows)
            both = [coming, released.append_column("ingested_at", moment)]
            plain = [rows.select(BARS.schema.names).cast(BARS.schema) for rows in both]
            coming = pa.concat_tables(plain).sort_by([("session", "ascending"), ("symbol", "ascending")])
        sessions = coming["session"].unique().to_pylist()
        self._sessions.update(sessions)
        merged = merge_sessions(self._read_before(sessions), coming, at=self._stamp.at)
        self.counts.update(added=merged.added, restated=merged.restated, unchanged=merged.unchanged)
        self._restatements.append(merged.restatements)
        for session, rows in _split_sessions(merged.rows):
            self._files[session] = self._pool.submit(write_file, self._lake, BARS, session, rows)

    def _read_before(self, sessions: Iterable[date]) -> pa.Table:
        """Read what is there of some sessions: written by this upload already, or committed before."""
        staged = [session for session in sessions if session in self._files]
        there = [session for session in sessions if session in self._present and session not in self._files]
        found = [read_file(self._lake, BARS, self._files[session].result()) for session in staged]
        if self._bars and there:
            found.append(read_partitions(self._bars, "session", there).select(BARS.schema.names).cast(BARS.schema))
        return pa.concat_tables(found) if found else BARS.schema.empty_table()

    @property
    def sessions(self) -> list[date]:
        """Sessions of which a row was accepted, oldest first."""
        return sorted(self._sessions)

    def commit(self, state: LakeState) -> dict[str, Any]:
        """Commit each table that changes and return the versions after it, by the catalog's column names."""
        self.refused.append(shape_refused(self._levels.own_waiting, LEVEL, REASON))
        return {
            "quarantine_version": self._commit_quarantine(state),
            "bars_version": self._commit_bars(state),
            "restatements_version": self._commit_restatements(state),
        }

    def _commit_quarantine(self, state: LakeState) -> int | None:
        refused = pa.concat_tables(self.refused, promote_options="permissive")
        self.counts["quarantined"] = refused.num_rows
        named = {"upload_sha256": self._stamp.sha256, "quarantined_at": self._stamp.at, "resolved_by": None}
        for name, value in named.items():
            kind = QUARANTINE.schema.field(name).type
            refused = refused.append_column(name, pa.repeat(pa.scalar(value, kind), refused.num_rows))
        resolved = pa.concat_tables(self._resolved)
        rows = [refused.select(QUARANTINE.schema.names).cast(QUARANTINE.schema)]
        touched = resolved["upload_sha256"].unique().to_pylist()
        if self._quarantine and touched:
            rows.append(mark_resolved(self._quarantine, resolved, by=self._stamp.sha256))
        every = pa.concat_tables(rows)
        if not every.num_rows:
            return state.quarantine
        return replace_partitions(self._lake, QUARANTINE, every, [self._stamp.sha256, *touched])

    def _commit_bars(self, state: LakeState) -> int | None:
        added = [file.result() for file in self._files.values()]
        self._pool.shutdown()
        if not added:
            return state.bars
        metadata = {"closecast.upload": self._stamp.sha256}
        replaced = self._present.intersection(self._files)
        return commit_files(self._lake, BARS, added, replaced=replaced, metadata=metadata)

    def _commit_restatements(self, state: LakeState) -> int | None:
        cells = pa.concat_tables(self._restatements) if self._restatements else RESTATEMENTS.schema.empty_table()
        return append_rows(self._lake, RESTATEMENTS, cells) if cells.num_rows else state.restatements


def mark_resolved(quarantine: DeltaTable, rows: pa.Table, *, by: str) -> pa.Table:
    """Return the quarantined rows of every upload that `rows` are of, those of `rows` marked as resolved.

    Parameters
    ----------
    quarantine
        Open at the version that may be read.
    rows
        upload_sha256 and row_number of the rows that left quarantine.
    by
        Hash of the upload that brought them into bars.
    """
    uploads = rows["upload_sha256"].unique().to_pylist()
    there = read_partitions(quarantine, "upload_sha256", uploads).select(QUARANTINE.schema.names)
    there = there.cast(QUARANTINE.schema)
    left = set(zip(rows["upload_sha256"].to_pylist(), rows["row_number"].to_pylist(), strict=True))
    keys = zip(there["upload_sha256"].to_pylist(), there["row_number"].to_pylist(), strict=True)
    marks = [by if key in left else was for key, was in zip(keys, there["resolved_by"].to_pylist(), strict=True)]
    at = there.schema.get_field_index("resolved_by")
    return there.set_column(at, QUARANTINE.schema.field("resolved_by"), pa.array(marks, pa.string()))


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
