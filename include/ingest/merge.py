"""New rows of a session meet those that are there: what is added, what is corrected, what stays as it was.

A row whose numbers are all the same keeps the row that is there, with the upload that first brought it. Different
numbers are a correction: the new row stands, and each changed cell is a restatement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from include.ingest.keys import Mask, Rows, are_same, read_numbers, sort_keys
from include.schema import BARS, RESTATEMENTS, WINDOW_COLUMNS


@dataclass(frozen=True)
class Merge:
    """What becomes of some sessions.

    Attributes
    ----------
    rows
        schema.BARS ordered by session and symbol, all rows of every session that changes.
    added, restated, unchanged
        How many of the new rows are new, correct one that was there, repeat one that was there.
    restatements
        schema.RESTATEMENTS, one row a changed cell.
    """

    rows: pa.Table
    added: int
    restated: int
    unchanged: int
    restatements: pa.Table


def merge_sessions(before: pa.Table, coming: pa.Table, *, at: datetime) -> Merge:
    """Merge new rows into the sessions that they touch.

    Parameters
    ----------
    before
        Rows that are there of the sessions of `coming`, schema.BARS.
    coming
        schema.BARS ordered by session and symbol, none twice.
    at
        Moment of the restatement, UTC.
    """
    if not before.num_rows:
        return Merge(coming, coming.num_rows, 0, 0, RESTATEMENTS.empty_table())
    pairs = _find_pairs(before, coming)
    was, now = read_numbers(before, pairs.old), read_numbers(coming, pairs.new)
    same = are_same(was, now)
    restated = np.asarray(~same.all(axis=1))
    rows = _gather(before, coming, pairs, restated)
    row, column = np.nonzero(~same)
    cells = _list_cells(before.take(pairs.old[row]), coming.take(pairs.new[row]), at)
    changed = {"column": np.array(WINDOW_COLUMNS)[column], "was": was[row, column], "is": now[row, column]}
    for name, values in changed.items():
        cells = cells.append_column(name, pa.array(values, RESTATEMENTS.field(name).type, from_pandas=True))
    added = coming.num_rows - len(pairs.new)
    return Merge(
        rows, added, int(restated.sum()), int((~restated).sum()), cells.select(RESTATEMENTS.names).cast(RESTATEMENTS)
    )


class _Pairs(NamedTuple):
    """Keys of both tables, and the positions of the rows whose key is in both."""

    old_key: Rows
    new_key: Rows
    old: Rows
    new: Rows


def _find_pairs(before: pa.Table, coming: pa.Table) -> _Pairs:
    old_key, new_key = sort_keys(before, coming)
    order = np.argsort(old_key, kind="stable")
    place = np.searchsorted(old_key[order], new_key)
    found = place < len(old_key)
    found[found] = old_key[order][place[found]] == new_key[found]
    return _Pairs(old_key, new_key, order[place[found]], np.flatnonzero(found))


def _gather(before: pa.Table, coming: pa.Table, pairs: _Pairs, restated: Mask) -> pa.Table:
    """Put together what stays and what comes, ordered, leaving out the sessions to which nothing came."""
    stays, comes = np.ones(before.num_rows, dtype=bool), np.ones(coming.num_rows, dtype=bool)
    stays[pairs.old[restated]], comes[pairs.new[~restated]] = False, False
    new_days = coming["session"].cast(pa.int32()).to_numpy()
    stays &= np.isin(before["session"].cast(pa.int32()).to_numpy(), np.unique(new_days[comes]))
    order = np.argsort(np.concatenate([pairs.old_key[stays], pairs.new_key[comes]]), kind="stable")
    both = [_as_plain(table.filter(pa.array(mask))) for table, mask in ((before, stays), (coming, comes))]
    return pa.concat_tables(both).take(pa.array(order))


def _as_plain(rows: pa.Table) -> pa.Table:
    return rows.select(BARS.names).cast(BARS)


def _list_cells(old: pa.Table, new: pa.Table, at: datetime) -> pa.Table:
    """Say of each changed cell where it is and which uploads brought it, was and is apart."""
    columns = {
        "session": old["session"],
        "symbol": old["symbol"],
        "was_upload_sha256": old["upload_sha256"],
        "upload_sha256": new["upload_sha256"],
        "restated_at": pa.repeat(pa.scalar(at, RESTATEMENTS.field("restated_at").type), old.num_rows),
    }
    return pa.table(columns)
