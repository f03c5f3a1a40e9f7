"""What people want to know of a session though nothing failed: forecasts are out, rows refused, symbols that jumped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from statistics import median

import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.alerts.incidents import Affected, Incident, Notice
from include.alerts.report import report_incident, report_recovery, tell_notice
from include.lake.catalog import read_operations
from include.monitoring.skill import Skill, read_outcomes, read_skill
from include.schema import Status
from include.settings import Settings

QUARANTINE_UPLOADS = 20
"""Uploads before the newest that say what is usual."""

QUARANTINE_FEWEST = 5
"""With fewer, `QUARANTINE_FLOOR` alone decides."""

QUARANTINE_FLOOR = 0.01
"""A share of refused rows below this is nobody's concern."""

QUARANTINE_TIMES = 3.0
"""So many times the usual share is more than usual."""

JUMP_TIMES = 10.0
"""A close that is so many times the one before, or the one before so many times it: a split, or an error."""

_MOST_NAMED = 5


def tell_published(settings: Settings, session: date) -> None:
    """Tell that a session's forecasts are out: counts, skill, coverage."""
    table = pq.read_table(settings.published / f"{session}.parquet", columns=["status"])
    counts = {row["values"]: row["counts"] for row in pc.value_counts(table["status"]).to_pylist()}
    skill = [describe_skill(row) for row in read_skill(settings).rows]
    said = f"Forecasts of session {session} are out: {counts.get(Status.SCORED, 0):,} of {table.num_rows:,} symbols"
    others = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if name != Status.SCORED)
    detail = "; ".join(filter(None, [others, *skill]))
    affected = Affected(session, table.num_rows, published=True)
    tell_notice(
        settings, Notice(f"forecasts_published/{session}", "forecasts_published", said, detail, affected=affected)
    )


def describe_skill(row: Skill) -> str:
    """Say a target's skill in a few words."""
    error = "–" if row.relative_error is None else f"{row.relative_error:.3f}"
    covered = "–" if row.coverage_80 is None else f"{row.coverage_80:.0%}"
    return f"{row.target}: {error} of last close's error, 80 % intervals cover {covered} ({row.group})"


def watch_quarantine(settings: Settings) -> bool:
    """Report an upload of which more rows were refused than usual, and the end of that; whether it is so."""
    uploads = [row for row in read_operations(settings.lake) if row["kind"] == "upload" and row["rows"]]
    if not uploads:
        return False
    shares = [row["quarantined"] / row["rows"] for row in uploads[-QUARANTINE_UPLOADS - 1 :]]
    newest = uploads[-1]
    key = "quarantine_growing/uploads"
    if not has_grown(shares):
        report_recovery(settings, key, note=f"Of {newest['name']} {shares[-1]:.2%} of the rows were refused.")
        return False
    summary = f"{newest['name']}: {newest['quarantined']:,} of {newest['rows']:,} rows were refused"
    cause = f"{shares[-1]:.2%} of the rows; in the uploads before {median(shares[:-1] or [0.0]):.2%}"
    affected = Affected(newest["last_session"])
    report_incident(settings, Incident(key, "quarantine_growing", summary, cause, affected=affected))
    return True


def has_grown(shares: Sequence[float]) -> bool:
    """Whether the newest share of refused rows is more than usual.

    Parameters
    ----------
    shares
        Of each upload, 0 to 1, the newest last.

    Examples
    --------
    >>> has_grown([0.004, 0.005, 0.004, 0.006, 0.005, 0.03])
    True
    """
    *before, newest = shares
    usual = median(before) if len(before) >= QUARANTINE_FEWEST else 0.0
    return newest > max(QUARANTINE_FLOOR, QUARANTINE_TIMES * usual)


def tell_jumps(settings: Settings, session: date) -> list[str]:
    """Tell which symbols closed at many times their last close, or at a small part of it; return them."""
    rows = read_outcomes(settings, [session], ["symbol", "target", "horizon", "last_close", "actual"])
    ratio = pc.abs(pc.ln(pc.divide(rows["actual"], rows["last_close"])))
    is_jump = pc.and_(pc.equal(rows["target"], "close"), pc.greater(ratio, math.log(JUMP_TIMES)))
    found = rows.append_column("ratio", ratio).filter(is_jump).sort_by([("ratio", "descending")])
    symbols = list(dict.fromkeys(found["symbol"].to_pylist()))
    if symbols:
        more = len(symbols) - _MOST_NAMED
        named = ", ".join(symbols[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        said = f"{len(symbols)} symbol(s) closed session {session} at {JUMP_TIMES:.0f} times the last close, or a tenth"
        affected = Affected(session, len(symbols))
        tell_notice(settings, Notice(f"symbol_jump/{session}", "symbol_jump", said, named, affected=affected))
    return symbols
