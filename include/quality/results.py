"""What a gate found, as it is kept in `validations` and as it is told; and the error that a blocked one raises.

The table has a partition a session, so that reading one session's results costs the same after ten years.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import BlockedError, NotFoundError
from include.lake.reads import read_partitions
from include.lake.tables import VALIDATIONS, append_rows, open_table

EXAMPLES = 20
"""Names that a result keeps."""

SHOWN_EXAMPLES = 5
"""Names that a message or a table shows."""


@dataclass(frozen=True)
class ExpectationResult:
    """What one expectation found.

    Attributes
    ----------
    expectation, severity
        Its name in the suite; `session` blocks, `warn` is told.
    unexpected_count
        Rows, symbols or sessions that broke it.
    symbols
        Up to `EXAMPLES` names of them.
    detail
        What was observed, in a few words.
    """

    expectation: str
    severity: str
    success: bool
    unexpected_count: int
    symbols: list[str]
    detail: str


@dataclass(frozen=True)
class ValidationReport:
    """All results of one run of a suite.

    Attributes
    ----------
    suite
        `session` or `snapshot`.
    session
        The judged session, or the newest of the snapshot.
    bars_version
        Version of bars that was read.
    suite_hash
        Which expectations judged.
    page, page_seconds
        The run's page in the Data Docs, and what drawing it took; not kept in the table.
    """

    suite: str
    session: date
    bars_version: int
    suite_hash: str
    results: list[ExpectationResult]
    page: Path | None = field(default=None, compare=False)
    page_seconds: float = field(default=0.0, compare=False)

    @property
    def failed(self) -> list[ExpectationResult]:
        """Expectations that failed, those that block first."""
        return sorted((result for result in self.results if not result.success), key=lambda each: each.severity)

    @property
    def blocking(self) -> list[ExpectationResult]:
        """Expectations that failed and block."""
        return [result for result in self.results if not result.success and result.severity == "session"]


def require_valid(report: ValidationReport) -> None:
    """Raise for a report that blocks.

    Raises
    ------
    BlockedError
        Names each failed expectation, its count and up to five examples.
    """
    if not report.blocking:
        return
    said = "; ".join(describe(result) for result in report.blocking)
    rule = (
        f"session {report.session} must pass its validation before it is scored"
        if report.suite == "session"
        else f"the snapshot up to {report.session} must pass its validation before a model is trained on it"
    )
    raise BlockedError(rule, value=said, place="bars")


def describe(result: ExpectationResult) -> str:
    """Return an expectation's finding in one line: name, count, up to five examples, or what was observed."""
    named = ", ".join(result.symbols[:SHOWN_EXAMPLES]) or result.detail
    count = f"{result.unexpected_count:,}: " if result.symbols else ""
    return f"{result.expectation} ({count}{named})"


def keep_report(lake: Path, report: ValidationReport) -> None:
    """Append a report to `validations`, in one commit."""
    constants = {
        "suite": report.suite,
        "session": report.session,
        "bars_version": report.bars_version,
        "suite_hash": report.suite_hash,
        "validated_at": datetime.now(UTC),
    }
    rows = [constants | vars(result) for result in report.results]
    append_rows(lake, VALIDATIONS, pa.Table.from_pylist(rows, schema=VALIDATIONS.schema))


def read_report(lake: Path, session: date, *, suite: str = "session") -> ValidationReport:
    """Read the newest results of a session.

    Raises
    ------
    NotFoundError
        It was never validated.
    """
    rows = _read_newest(lake, [session], suite)
    if not rows:
        raise NotFoundError(f"session {session} must have been validated", place="validations")
    names = ExpectationResult.__dataclass_fields__
    results = [ExpectationResult(**{name: row[name] for name in names}) for row in rows]
    return ValidationReport(suite, session, rows[0]["bars_version"], rows[0]["suite_hash"], results)


def list_blocked(lake: Path, sessions: Sequence[date]) -> set[date]:
    """Return which of the sessions are blocked by their newest validation; one never validated is not."""
    rows = _read_newest(lake, sessions, "session", columns=("session", "suite", "severity", "success", "validated_at"))
    return {row["session"] for row in rows if not row["success"] and row["severity"] == "session"}


def _read_newest(
    lake: Path, sessions: Iterable[date], suite: str, *, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read each session's newest results; nothing where the table has not been written."""
    try:
        table = open_table(lake, VALIDATIONS)
    except NotFoundError:
        return []
    rows = read_partitions(table, "session", sessions, columns=columns or VALIDATIONS.schema.names)
    rows = rows.filter(pc.field("suite") == suite)
    if not rows.num_rows:
        return []
    # By hand, since Arrow's join takes no list columns.
    newest = rows.group_by("session").aggregate([("validated_at", "max")])
    latest = newest["validated_at_max"].take(pc.index_in(rows["session"], newest["session"].combine_chunks()))
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["validated_at"], latest)).to_pylist()
    return found
