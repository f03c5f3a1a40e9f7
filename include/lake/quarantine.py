"""Rows that were refused, as they are asked for: which are open, of which upload, and why.

A row is open until an upload brings it into bars: one that confirms its level, a release, or a repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError, NotFoundError
from include.lake.catalog import find_committed, read_operations
from include.lake.reads import list_files, read_partitions, read_where
from include.lake.tables import QUARANTINE


@dataclass(frozen=True)
class QuarantineFilter:
    """Which refused rows are meant; what is not given leaves all in.

    Parameters
    ----------
    upload
        Hash of the upload, or how it begins (at least six digits).
    expectation
        Name of the rule that refused them.
    symbols, row_numbers
        Those alone.
    first_session, last_session
        Both included; a row whose session could not be read is left out where either is given.
    with_resolved
        Also rows that have left quarantine since.
    """

    upload: str | None = None
    expectation: str | None = None
    symbols: Sequence[str] | None = None
    row_numbers: Sequence[int] | None = None
    first_session: date | None = None
    last_session: date | None = None
    with_resolved: bool = False


def find_upload_hash(lake: Path, prefix: str) -> str:
    """Return the one upload whose hash begins so.

    Raises
    ------
    InputError
        Fewer than six digits, or several uploads begin so.
    NotFoundError
        None does.
    """
    if len(prefix) < 6 or not set(prefix) <= set("0123456789abcdef"):
        raise InputError("an upload is named by its SHA-256 or at least six digits of it", value=prefix)
    found = [row["sha256"] for row in read_operations(lake, prefix=prefix)]
    if not found:
        raise NotFoundError("an upload must have been ingested", value=prefix, place="uploads")
    if len(found) > 1:
        raise InputError("the digits must tell one upload from all others", value=f"{prefix}: {len(found)} uploads")
    return str(found[0])


def read_quarantine(lake: Path, wanted: QuarantineFilter) -> pa.Table:
    """Read the refused rows that are meant, the newest upload's first, by row number within an upload.

    Returns
    -------
    pyarrow.Table
        schema.QUARANTINE.
    """
    table = find_committed(lake, QUARANTINE)
    if table is None:
        return QUARANTINE.schema.empty_table()
    if wanted.upload:
        rows = read_partitions(table, "upload_sha256", [find_upload_hash(lake, wanted.upload)])
    else:
        first, last = wanted.first_session or date.min, wanted.last_session or date.max
        limited = wanted.first_session is not None or wanted.last_session is not None
        rows = (
            read_where(table, "session", first, last)
            if limited
            else read_partitions(table, "upload_sha256", set(list_files(table)["partition.upload_sha256"].to_pylist()))
        )
    rows = rows.select(QUARANTINE.schema.names).cast(QUARANTINE.schema)
    order = [("quarantined_at", "descending"), ("upload_sha256", "ascending"), ("row_number", "ascending")]
    return rows.filter(_matches(rows, wanted)).sort_by(order)


def _matches(rows: pa.Table, wanted: QuarantineFilter) -> pa.ChunkedArray:
    yes = pc.is_valid(rows["row_number"])
    tests = [yes]
    if not wanted.with_resolved:
        tests.append(pc.is_null(rows["resolved_by"]))
    if wanted.expectation is not None:
        tests.append(pc.equal(rows["expectation"], wanted.expectation))
    if wanted.symbols is not None:
        tests.append(pc.is_in(rows["symbol"], pa.array(wanted.symbols, pa.string())))
    if wanted.row_numbers is not None:
        tests.append(pc.is_in(rows["row_number"], pa.array(wanted.row_numbers, pa.int64())))
    if wanted.first_session is not None:
        tests.append(pc.fill_null(pc.greater_equal(rows["session"], wanted.first_session), False))
    if wanted.last_session is not None:
        tests.append(pc.fill_null(pc.less_equal(rows["session"], wanted.last_session), False))
    for test in tests:
        yes = pc.and_(yes, test)
    return yes


def count_quarantine(rows: pa.Table) -> list[dict[str, Any]]:
    """Count rows by upload and expectation, with up to five symbols and the span of sessions of each."""
    grouped = rows.group_by(["upload_sha256", "expectation"], use_threads=False).aggregate(
        [("row_number", "count"), ("session", "min"), ("session", "max"), ("symbol", "distinct"), ("reason", "min")]
    )
    return [
        {
            "upload_sha256": row["upload_sha256"],
            "expectation": row["expectation"],
            "rows": row["row_number_count"],
            "first_session": row["session_min"],
            "last_session": row["session_max"],
            "symbols": sorted(name for name in row["symbol_distinct"] if name is not None)[:5],
            "example": row["reason_min"],
        }
        for row in grouped.to_pylist()
    ]
