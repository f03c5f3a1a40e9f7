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
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction

from include.ingest.judge import LEVEL, Verdict, shape_refused
from include.ingest.keys import sort_keys
from include.ingest.levels import REASON, PriceLevels
from include.ingest.merge import merge_sessions
from include.ingest.report import Origin
from include.lake.catalog import LakeState, find_committed
from include.lake.files import list_sessions
from include.lake.tables import (
    BARS,
    QUARANTINE,
    RESTATEMENTS,
    append_rows,
    commit_files,
    read_file,
    read_partitions,
    remove_file,
    replace_partitions,
    write_file,
)

_WRITERS = 2
_ROW_KEY = ["upload_sha256", "row_number"]


class RefusedRows(Protocol):
    """Rows that a reader refused."""

    @property
    def num_rows(self) -> int:
        """How many."""

    def batches(self) -> Iterator[pa.Table]:
        """Give them, schema.QUARANTINE less what an ingest adds."""


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
    stamp
        Of the upload.
    origin
        A release or a repair resolves the open rows of the upload that it mends.
    is_whole
        A repair brings all of that upload again: it resolves the rows too whose symbol or session could not be read.
    """

    def __init__(self, lake: Path, stamp: Stamp, origin: Origin, *, is_whole: bool = False) -> None:
        self._lake, self._stamp, self._origin, self._is_whole = lake, stamp, origin, is_whole
        self._bars, self._quarantine = find_committed(lake, BARS), find_committed(lake, QUARANTINE)
        self._levels = PriceLevels(self._bars, self._quarantine, stamp.sha256)
        self._present = set(list_sessions(self._bars)) if self._bars else set()
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._files: dict[date, Future[AddAction]] = {}
        self._sessions: set[date] = set()
        self._restatements: list[pa.Table] = []
        self._mended = self._read_mended()
        self._resolved: list[pa.Table] = [self._mended.slice(0, 0).select(_ROW_KEY)]
        self._refused: list[pa.Table] = []
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

    def add(self, verdict: Verdict, *, judge_levels: bool = True) -> None:
        """Take the verdict on a group of whole sessions: its files are written, its refused rows kept."""
        self._refused.append(verdict.refused)
        split = self._levels.judge(verdict.accepted) if judge_levels else self._levels.let_pass(verdict.accepted)
        rows = verdict.accepted if split.accepted.all() else verdict.accepted.filter(pa.array(split.accepted))
        is_own = pc.equal(split.released["upload_sha256"], self._stamp.sha256)
        others = split.released.filter(pc.invert(is_own))
        self._resolved += [others.select(_ROW_KEY), self._find_mended(rows)]
        own = split.released.num_rows - others.num_rows
        self.counts.update(accepted=rows.num_rows + own, duplicates=verdict.duplicates)
        self._merge(self._stamp.onto(rows), split.released)
        self.counts["added"] -= others.num_rows

    def _read_mended(self) -> pa.Table:
        """Read the open rows of the upload that this one releases from or repairs."""
        if self._quarantine is None or self._origin.of_sha256 is None:
            return QUARANTINE.schema.empty_table()
        rows = read_partitions(self._quarantine, "upload_sha256", [self._origin.of_sha256])
        return rows.filter(pc.field("resolved_by").is_null()).select(QUARANTINE.schema.names).cast(QUARANTINE.schema)

    def _find_mended(self, rows: pa.Table) -> pa.Table:
        """Find the open rows whose symbol and session this upload brings."""
        keyed = self._mended.filter(pc.field("symbol").is_valid() & pc.field("session").is_valid())
        if not keyed.num_rows:
            return self._mended.slice(0, 0).select(_ROW_KEY)
        theirs, ours = sort_keys(keyed, rows)
        return keyed.filter(pa.array(np.isin(theirs, ours))).select(_ROW_KEY)

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

    def commit(self, state: LakeState, unread: RefusedRows) -> dict[str, int | None]:
        """Commit each table that changes and return the versions after it, by the catalog's column names.

        Parameters
        ----------
        state
            Of the lake before this upload.
        unread
            Rows that the reader refused.
        """
        return {
            "quarantine_version": self._commit_quarantine(state, unread),
            "bars_version": self._commit_bars(state),
            "restatements_version": self._commit_restatements(state),
        }

    def _commit_quarantine(self, state: LakeState, unread: RefusedRows) -> int | None:
        judged = [*self._refused, shape_refused(self._levels.own_waiting, LEVEL, REASON)]
        self.counts["quarantined"] = unread.num_rows + sum(rows.num_rows for rows in judged)
        mended = self._resolve()
        if not self.counts["quarantined"] and not mended.num_rows:
            return state.quarantine
        own = (self._shape_own(rows) for rows in chain(unread.batches(), judged))
        batches = (batch for rows in chain(own, [mended]) for batch in rows.to_batches())
        reader = pa.RecordBatchReader.from_batches(QUARANTINE.schema, batches)
        values = [self._stamp.sha256, *mended["upload_sha256"].unique().to_pylist()]
        return replace_partitions(self._lake, QUARANTINE, reader, values)

    def _shape_own(self, refused: pa.Table) -> pa.Table:
        named = {"upload_sha256": self._stamp.sha256, "quarantined_at": self._stamp.at, "resolved_by": None}
        for name, value in named.items():
            kind = QUARANTINE.schema.field(name).type
            refused = refused.append_column(name, pa.repeat(pa.scalar(value, kind), refused.num_rows))
        return refused.select(QUARANTINE.schema.names).cast(QUARANTINE.schema)

    def _resolve(self) -> pa.Table:
        """Return the quarantine of every upload of which rows leave it, those rows marked."""
        if self._origin.kind == "repair" and self._is_whole:
            keyless = pc.or_(pc.is_null(self._mended["symbol"]), pc.is_null(self._mended["session"]))
            self._resolved.append(self._mended.filter(keyless).select(_ROW_KEY))
        left = pa.concat_tables(self._resolved)
        self.counts["released"] = left.num_rows
        if self._quarantine is None or not left.num_rows:
            return QUARANTINE.schema.empty_table()
        uploads = left["upload_sha256"].unique().to_pylist()
        there = read_partitions(self._quarantine, "upload_sha256", uploads).select(QUARANTINE.schema.names)
        return mark_resolved(there.cast(QUARANTINE.schema), left, by=self._stamp.sha256)

    def _commit_bars(self, state: LakeState) -> int | None:
        added = [file.result() for file in self._files.values()]
        replaced = self._present.intersection(self._files)
        self._files = {}  # from here on they may belong to a version
        if not added:
            return state.bars
        metadata = {"closecast.upload": self._stamp.sha256}
        return commit_files(self._lake, BARS, added, replaced=replaced, metadata=metadata)

    def _commit_restatements(self, state: LakeState) -> int | None:
        cells = pa.concat_tables(self._restatements) if self._restatements else RESTATEMENTS.schema.empty_table()
        return append_rows(self._lake, RESTATEMENTS, cells) if cells.num_rows else state.restatements


def mark_resolved(there: pa.Table, left: pa.Table, *, by: str) -> pa.Table:
    """Return quarantined rows with those that left it marked.

    Parameters
    ----------
    there
        schema.QUARANTINE.
    left
        upload_sha256 and row_number of the rows that left.
    by
        Hash of the upload that brought them into bars.
    """
    gone = set(zip(left["upload_sha256"].to_pylist(), left["row_number"].to_pylist(), strict=True))
    keys = zip(there["upload_sha256"].to_pylist(), there["row_number"].to_pylist(), strict=True)
    marks = [by if key in gone else was for key, was in zip(keys, there["resolved_by"].to_pylist(), strict=True)]
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
