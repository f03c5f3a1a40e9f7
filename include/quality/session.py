"""The gate in front of a score: what a session in `bars` must look like, checked by Great Expectations.

Ingest has refused rows that can't be bars; this suite looks at the session as a whole and at the table as it really is,
whoever wrote it. A failed expectation of severity `critical` blocks the session; a `warning` is kept and told.
Results go to `validations`, with the symbols that failed.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import BlockedError, NotFoundError
from include.lake.bars import open_bars, sessions_up_to
from include.lake.tables import VALIDATIONS, append_rows, read_all, read_partitions
from include.quality.rows import order_excess
from include.schema import PRICES
from include.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

VOLUME_SESSIONS = 20
"""A session's row count is held against the median of so many sessions before it."""

FEWEST_ROWS = 0.7
"""Share of that median below which a session is blocked: a fifth of the universe is never delisted in a day."""

MOST_ROWS = 1.5
"""Share of that median above which a session is reported: a bulk listing is possible, a doubled file more likely."""

EXAMPLES = 20
"""Symbols that a result names."""


@dataclass(frozen=True)
class ExpectationResult:
    """What one expectation found in a session."""

    expectation: str
    severity: str
    success: bool
    unexpected_count: int
    symbols: list[str]
    detail: str


@dataclass(frozen=True)
class ValidationReport:
    """All results of one session at one version of bars."""

    session: date
    bars_version: int
    results: list[ExpectationResult]

    @property
    def blocking(self) -> list[ExpectationResult]:
        """Critical expectations that failed."""
        return [result for result in self.results if not result.success and result.severity == "critical"]


def validate_session(settings: Settings, session: date) -> ValidationReport:
    """Run the suite over a session's bars and keep its results in `validations`.

    Raises
    ------
    NotFoundError
        The session has no bars.
    """
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, session, count=VOLUME_SESSIONS + 1)
    counts = _count_rows(read_partitions(bars, "session", sessions[:-1], columns=["session"]))
    frame = _session_frame(read_partitions(bars, "session", [session]))
    report = ValidationReport(session, int(bars.version()), run_suite(frame, counts))
    _keep_results(settings, report)
    return report


def require_valid(report: ValidationReport) -> None:
    """Raise for a report that blocks its session.

    Raises
    ------
    BlockedError
        Names each failed expectation, its count and up to five symbols.
    """
    if not report.blocking:
        return
    said = "; ".join(
        f"{result.expectation} ({result.unexpected_count} rows: {', '.join(result.symbols[:5]) or result.detail})"
        for result in report.blocking
    )
    raise BlockedError(
        f"session {report.session} must pass its validation before it is scored", value=said, place="bars"
    )


def read_validation(settings: Settings, session: date) -> ValidationReport:
    """Read the newest results of a session.

    Raises
    ------
    NotFoundError
        The session was never validated.
    """
    rows = read_all(settings.lake, VALIDATIONS).filter(pc.field("session") == session)
    if not rows.num_rows:
        raise NotFoundError(f"session {session} must have been validated", place="validations")
    newest = rows.filter(pc.field("validated_at") == pc.max(rows["validated_at"])).to_pylist()
    names = ExpectationResult.__dataclass_fields__
    results = [ExpectationResult(**{name: row[name] for name in names}) for row in newest]
    return ValidationReport(session, newest[0]["bars_version"], results)


def _count_rows(sessions: pa.Table) -> list[int]:
    """Return how many rows each session has."""
    counts: list[int] = pc.value_counts(sessions["session"].combine_chunks()).field("counts").to_pylist()
    return counts


def _session_frame(bars: pa.Table) -> pd.DataFrame:
    """Return a session as pandas, with the two order checks as columns."""
    frame = bars.drop_columns(["upload_sha256", "ingested_at"]).to_pandas()
    frame["symbol"] = frame["symbol"].astype(object)
    body_low, body_high = frame[["open", "close"]].min(axis=1), frame[["open", "close"]].max(axis=1)
    frame["low_excess"] = order_excess(frame["low"].to_numpy(), np.minimum(body_low, frame["high"]).to_numpy())
    frame["high_deficit"] = order_excess(body_high.to_numpy(), frame["high"].to_numpy())
    return frame


def session_expectations(counts: list[int]) -> list[Any]:
    """Build the suite of a session.

    Parameters
    ----------
    counts
        Row counts of the sessions before it; with none, the row count is not judged.
    """
    from great_expectations import expectations as gxe

    columns = ["session", "symbol", *PRICES, "volume", "market_cap"]
    suite: list[Any] = [gxe.ExpectColumnToExist(column=name, severity="critical") for name in columns]
    suite += [gxe.ExpectColumnValuesToBeOfType(column=name, type_="float64", severity="critical") for name in PRICES]
    suite += [
        gxe.ExpectColumnValuesToNotBeNull(column="symbol", severity="critical"),
        gxe.ExpectColumnValuesToBeUnique(column="symbol", severity="critical"),
    ]
    suite += [gxe.ExpectColumnValuesToNotBeNull(column=name, severity="critical") for name in PRICES]
    suite += [
        gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, strict_min=True, severity="critical")
        for name in PRICES
    ]
    suite += [
        gxe.ExpectColumnValuesToBeBetween(column=name, max_value=0, severity="critical")
        for name in ("low_excess", "high_deficit")
    ]
    suite.append(gxe.ExpectColumnValuesToBeBetween(column="volume", min_value=0, severity="warning"))
    if counts:
        usual = float(np.median(counts))
        fewest, most = int(np.ceil(FEWEST_ROWS * usual)), int(MOST_ROWS * usual)
        suite.append(gxe.ExpectTableRowCountToBeBetween(min_value=fewest, severity="critical"))
        suite.append(gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=max(most, 1), severity="warning"))
    return suite


def run_suite(frame: pd.DataFrame, counts: list[int]) -> list[ExpectationResult]:
    """Run the suite over a session's frame; see `session_expectations`."""
    # Set before the import: the library reports its use over the network unless told not to.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # hundreds of lines of its own otherwise
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("session")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="session", expectations=session_expectations(counts))
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": ["symbol"]}
    return [_read_result(result) for result in batch.validate(suite, result_format=wanted).results]


def _read_result(result: Any) -> ExpectationResult:
    """Take what is kept from a result of the library."""
    config, found = result.expectation_config, result.result or {}
    where = config.kwargs.get("column")
    rows = found.get("unexpected_index_list") or []
    symbols = [str(row["symbol"]) for row in rows[:EXAMPLES]]
    failure = (result.exception_info or {}).get("exception_message")
    observed = found.get("observed_value")
    detail = str(failure or ("" if observed is None else f"observed {observed}"))
    return ExpectationResult(
        expectation=f"{config.type}({where})" if where else config.type,
        severity=str(getattr(config.severity, "value", config.severity)),
        success=bool(result.success),
        unexpected_count=int(found.get("unexpected_count") or 0),
        symbols=symbols,
        detail=detail,
    )


def _keep_results(settings: Settings, report: ValidationReport) -> None:
    now = datetime.now(UTC)
    rows = [
        {"session": report.session, "bars_version": report.bars_version, "validated_at": now, **vars(result)}
        for result in report.results
    ]
    append_rows(settings.lake, VALIDATIONS, pa.Table.from_pylist(rows, schema=VALIDATIONS.schema))
