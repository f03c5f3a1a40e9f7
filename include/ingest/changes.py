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
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction

from include.ingest.judge import LEVEL, Refusal, Verdict
from include.ingest.levels import REASON, PriceLevels
from include.ingest.merge import merge_sessions
from include.ingest.refusals import QuarantineChanges, RefusedRows
from include.lake.catalog import LakeState, find_committed
from include.lake.data_files import commit_files, read_file, remove_file, write_file
from include.lake.files import list_sessions
from include.lake.reads import read_partitions
from include.lake.tables import BARS, RESTATEMENTS, append_rows
from include.uploads.spill import Spill

_WRITERS = 2
_CELLS_BUDGET_BYTES = 64 << 20
_MERGE_ROWS = 30_000
"""Rows merged at once with those that are there: each may have six cells to restate, of 200 bytes."""


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

    A context manager: left before `commit`, it removes the files that it has written.

    Parameters
    ----------
    lake
        Its folder; the caller holds `lock_lake` from before this is made until after `commit`.
    state
        Of the lake before this upload.
    stamp
        Of the upload.
    scratch
        Folder for what does not fit into memory.
    repairs
        Hash of the upload of which this one brings all rows again: its rows whose symbol or session could not be read
        have left quarantine then.
    """

    def __init__(
        self, lake: Path, state: LakeState, stamp: Stamp, scratch: Path, *, repairs: str | None = None
    ) -> None:
        self._lake, self._state, self._stamp, self._repairs = lake, state, stamp, repairs
        self._bars = find_committed(lake, BARS, state)
        self._present = set(list_sessions(self._bars)) if self._bars else set()
        self._quarantine = QuarantineChanges(lake, state, stamp.sha256, stamp.at, scratch)
        self._levels = PriceLevels(self._bars, self._quarantine.table, stamp.sha256)
        self._cells = Spill(RESTATEMENTS.schema, scratch, _CELLS_BUDGET_BYTES)
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._files: dict[date, Future[AddAction]] = {}
        self._sessions: set[date] = set()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        for file in self._files.values():
            if not file.cancelled() and file.exception() is None:
                remove_file(self._lake, BARS, file.result())
        self._quarantine.close()
        self._cells.close()

    def add(self, verdict: Verdict, *, judge_levels: bool = True) -> None:
        """Take the verdict on a group of whole sessions: its files are written, its refused rows kept."""
        for refusal in verdict.refused:
            self._quarantine.refuse(refusal)
        split = self._levels.judge(verdict.accepted) if judge_levels else self._levels.let_pass(verdict.accepted)
        rows = verdict.accepted if split.accepted.all() else verdict.accepted.filter(pa.array(split.accepted))
        is_own = pc.equal(split.released["upload_sha256"], self._stamp.sha256)
        others = split.released.filter(pc.invert(is_own))
        self._quarantine.close_rows(others)
        self._quarantine.bring(rows)
        own = split.released.num_rows - others.num_rows
        self.counts.update(accepted=rows.num_rows + own, duplicates=verdict.duplicates)
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
        is_there = any(session in self._present or session in self._files for session in sessions)
        for rows in _cut(coming, _MERGE_ROWS) if is_there else [coming]:
            self._merge_sessions(rows)

    def _merge_sessions(self, coming: pa.Table) -> None:
        before = self._read_before(coming["session"].unique().to_pylist())
        merged = merge_sessions(before, coming, at=self._stamp.at)
        self.counts.update(added=merged.added, restated=merged.restated, unchanged=merged.unchanged)
        for batch in merged.restatements.to_batches():
            self._cells.append(batch)
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

    def commit(self, unread: RefusedRows) -> dict[str, int | None]:
        """Commit each table that changes and return the versions after it, by the catalog's column names.

        Parameters
        ----------
        unread
            Rows that the reader refused.
        """
        self._quarantine.refuse(Refusal(self._levels.own_waiting, LEVEL, REASON))
        if self._repairs and self.counts["accepted"]:
            self._quarantine.close_keyless(self._repairs)
        version, self.counts["quarantined"], self.counts["released"] = self._quarantine.commit(unread)
        return {
            "quarantine_version": version,
            "bars_version": self._commit_bars(),
            "restatements_version": self._commit_restatements(),
        }

    def _commit_bars(self) -> int | None:
        added = [file.result() for file in self._files.values()]
        replaced = self._present.intersection(self._files)
        self._files = {}  # from here on they may belong to a version
        if not added:
            return self._state.bars
        metadata = {"closecast.upload": self._stamp.sha256}
        return commit_files(self._lake, BARS, added, replaced=replaced, metadata=metadata)

    def _commit_restatements(self) -> int | None:
        if not self._cells.num_rows:
            return self._state.restatements
        reader = pa.RecordBatchReader.from_batches(RESTATEMENTS.schema, iter(self._cells))
        return append_rows(self._lake, RESTATEMENTS, reader)


def _find_edges(rows: pa.Table) -> list[int]:
    """Return where each session begins in rows that are ordered by session, and where the last one ends."""
    days = rows["session"].cast(pa.int32()).to_numpy()
    return [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else []


def _cut(rows: pa.Table, most: int) -> Iterator[pa.Table]:
    """Cut rows that are ordered by session into tables of whole sessions, each as short as holds `most` rows."""
    edges = _find_edges(rows)
    start = 0
    for end in edges[1:]:
        if end - start >= most or end == edges[-1]:
            yield rows.slice(start, end - start)
            start = end


def _split_sessions(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Cut rows that are ordered by session into one table a session, without a copy."""
    for start, end in pairwise(_find_edges(rows)):
        part = rows.slice(start, end - start)
        yield part["session"][0].as_py(), _with_small_dictionary(part)


def _with_small_dictionary(rows: pa.Table) -> pa.Table:
    """Write out the symbols where most of their dictionary belongs to other sessions: a file would hold all of it."""
    symbol = rows["symbol"]
    if not pa.types.is_dictionary(symbol.type) or len(symbol.chunk(0).dictionary) < 2 * rows.num_rows:
        return rows
    return rows.set_column(rows.schema.get_field_index("symbol"), "symbol", symbol.cast(pa.string()))
