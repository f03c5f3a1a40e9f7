"""What one upload changes in quarantine: the rows that it refuses, and the open rows that it makes good.

A refused row is open until an upload brings its symbol and session into bars: a correction, a repair, a release, or the
sessions that confirm its level. Refused rows may be as many as an upload has, so they lie in a scratch file beyond a
budget, and the quarantine of earlier uploads is marked as it is read, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.ingest.judge import Refusal
from include.ingest.keys import Rows, sort_keys
from include.lake.catalog import LakeState, find_committed
from include.lake.reads import iterate_partitions, read_partitions, read_where
from include.lake.tables import QUARANTINE, replace_partitions
from include.uploads.row_store import REFUSED
from include.uploads.spill import Spill

BUDGET_BYTES = 64 << 20
_KEY = ["upload_sha256", "row_number", "symbol", "session"]


class RefusedRows(Protocol):
    """Rows that a reader refused."""

    @property
    def num_rows(self) -> int:
        """How many."""

    def batches(self) -> Iterator[pa.Table]:
        """Give them, schema.QUARANTINE less what an ingest adds."""


class QuarantineChanges:
    """Gathers what happens to refused rows while an upload is ingested; `commit` writes it in one commit.

    Parameters
    ----------
    lake, state
        Its folder, and what it held before.
    sha256, at
        Of the upload.
    scratch
        Folder for rows beyond the budget.
    """

    def __init__(self, lake: Path, state: LakeState, sha256: str, at: datetime, scratch: Path) -> None:
        self._lake, self._state, self._sha256, self._at = lake, state, sha256, at
        self.table = find_committed(lake, QUARANTINE, state)
        self._refused = Spill(REFUSED, scratch, BUDGET_BYTES)
        self._left: list[pa.Table] = []

    def close(self) -> None:
        """Let go of the scratch file."""
        self._refused.close()

    def refuse(self, refusal: Refusal) -> None:
        """Take the rows that a rule refused."""
        for rows in refusal.shape():
            for batch in rows.select(REFUSED.names).cast(REFUSED).to_batches():
                self._refused.append(batch)

    def bring(self, rows: pa.Table) -> None:
        """Close the open rows of earlier uploads whose symbol and session are among rows that become bars."""
        if self.table is None or not rows.num_rows:
            return
        ends = pc.min_max(rows["session"]).values()
        first, last = (end.as_py() for end in ends)
        waiting = read_where(self.table, "session", first, last, columns=[*_KEY, "resolved_by"])
        waiting = waiting.filter(pc.field("resolved_by").is_null() & pc.field("symbol").is_valid())
        if waiting.num_rows:
            theirs, ours = sort_keys(waiting, rows)
            self.close_rows(waiting.filter(pa.array(np.isin(theirs, ours))))

    def close_rows(self, rows: pa.Table) -> None:
        """Close some open rows: upload_sha256 and row_number."""
        self._left.append(rows.select(_KEY[:2]).cast(pa.schema([QUARANTINE.schema.field(name) for name in _KEY[:2]])))

    def close_keyless(self, sha256: str) -> None:
        """Close the open rows of an upload whose symbol or session could not be read."""
        if self.table is not None:
            rows = read_partitions(self.table, "upload_sha256", [sha256], columns=[*_KEY, "resolved_by"])
            keyless = pc.field("symbol").is_null() | pc.field("session").is_null()
            self.close_rows(rows.filter(keyless & pc.field("resolved_by").is_null()))

    def commit(self, unread: RefusedRows) -> tuple[int | None, int, int]:
        """Write the table.

        Returns
        -------
        version
            Of the table from here on.
        quarantined, released
            How many rows were refused, and how many left quarantine.
        """
        gone = self._group_left()
        quarantined = unread.num_rows + self._refused.num_rows
        released = sum(len(rows) for rows in gone.values())
        if not quarantined and not released:
            return self._state.quarantine, 0, 0
        refused = chain((batch for rows in unread.batches() for batch in rows.to_batches()), self._refused)
        batches = chain(map(self._shape, refused), self._mark(gone))
        reader = pa.RecordBatchReader.from_batches(QUARANTINE.schema, batches)
        return replace_partitions(self._lake, QUARANTINE, reader, [self._sha256, *gone]), quarantined, released

    def _group_left(self) -> dict[str, Rows]:
        """Give for each upload the row numbers that leave quarantine, each once."""
        rows = pa.concat_tables(self._left) if self._left else None
        if rows is None or not rows.num_rows:
            return {}
        grouped = rows.group_by("upload_sha256").aggregate([("row_number", "distinct")]).to_pylist()
        return {row["upload_sha256"]: np.array(row["row_number_distinct"]) for row in grouped}

    def _shape(self, refused: pa.RecordBatch) -> pa.RecordBatch:
        """Add what an ingest knows of every row."""
        named = {"upload_sha256": self._sha256, "quarantined_at": self._at, "resolved_by": None}
        columns = {name: refused[name] for name in refused.schema.names}
        for name, value in named.items():
            columns[name] = pa.repeat(pa.scalar(value, QUARANTINE.schema.field(name).type), refused.num_rows)
        return pa.record_batch([columns[name] for name in QUARANTINE.schema.names], schema=QUARANTINE.schema)

    def _mark(self, gone: dict[str, Rows]) -> Iterator[pa.RecordBatch]:
        """Give the quarantine of the uploads that rows leave, those rows marked."""
        if self.table is None:
            return iter(())
        there = [(iterate_partitions(self.table, QUARANTINE, [sha256]), rows) for sha256, rows in gone.items()]
        return (self._mark_batch(batch, rows) for batches, rows in there for batch in batches)

    def _mark_batch(self, batch: pa.RecordBatch, gone: Rows) -> pa.RecordBatch:
        leaves = pa.array(np.isin(batch["row_number"].to_numpy(), gone))
        marks = pc.if_else(leaves, pa.scalar(self._sha256, pa.string()), batch["resolved_by"])
        at = QUARANTINE.schema.get_field_index("resolved_by")
        return batch.set_column(at, QUARANTINE.schema.field(at), marks)
