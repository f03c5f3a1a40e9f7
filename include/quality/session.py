"""The gate in front of a score: the suite `session` over a session's bars as they really are, whoever wrote them.

Ingest has refused rows that can't be bars; here the session is looked at as a whole and beside the sessions before it.
Results are kept in `validations`, then the run's page is added to the Data Docs.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from include.errors import InputError
from include.lake.bars import open_bars
from include.lake.catalog import list_releases
from include.market.sessions import newest_closed_session
from include.quality import kinds
from include.quality.drift import DriftReference
from include.quality.drift_columns import BACK_SESSIONS
from include.quality.engine import run_suite
from include.quality.history import SessionHistory, read_history
from include.quality.record import record_run
from include.quality.reference import NO_REFERENCE, find_reference
from include.quality.results import ValidationReport
from include.quality.suites import load_suites
from include.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd


def validate_session(
    settings: Settings, session: date, *, now: datetime | None = None, reference: DriftReference | None = None
) -> ValidationReport:
    """Run the suite over a session's bars and keep its results in `validations`.

    Parameters
    ----------
    settings
        Lake, calendar, expectations.
    session
        Must have bars.
    now
        The moment that decides whether the session has closed; the clock's by default.
    reference
        Distributions to judge drift by; those of the model in Production by default. Where it has none, or the registry
        does not answer, drift is not judged, and the result says so.

    Raises
    ------
    NotFoundError
        The session has no bars.
    InputError
        The file of expectations breaks a rule.
    """
    suites = load_suites(settings)
    bars = open_bars(settings.lake)
    closed = _has_closed(settings.calendar, session, now or datetime.now(UTC))
    judges_drift = any(isinstance(entry, kinds.Drift) for entry in suites.session)
    known = reference or (find_reference(settings) if judges_drift else NO_REFERENCE)
    reach = _reach(suites.session, has_reference=not isinstance(known, str))
    history = read_history(bars, session, calendar=settings.calendar, closed=closed, reference=known, **reach)
    frame = session_frame(history, list_releases(settings.lake))
    run = run_suite("session", suites.session, frame, history)
    report = ValidationReport("session", session, int(bars.version()), suites.suite_hash, run.results)
    return record_run(settings, report, run)


def _has_closed(calendar: str, session: date, now: datetime) -> bool:
    try:
        return session <= newest_closed_session(calendar, now)
    except InputError:  # before the calendar's first close, nothing has closed
        return False


def _reach(suite: Sequence[kinds.GateEntry], *, has_reference: bool) -> dict[str, int]:
    """Say how far back the suite looks: closes, all numbers, and sessions of the calendar."""
    depth, full, on_calendar = [1], [2], [1]
    for entry in suite:
        if isinstance(entry, kinds.RowCount | kinds.MovesLikeBefore):
            depth.append(entry.sessions)
        elif isinstance(entry, kinds.StaleCloses):
            depth.append(entry.closes)
        elif isinstance(entry, kinds.Fresh):
            on_calendar.append(entry.sessions)
        elif isinstance(entry, kinds.Drift) and has_reference:
            depth.append(BACK_SESSIONS)
            full.append(BACK_SESSIONS + 1)
    return {"depth": max(depth), "full": max(full), "calendar_depth": max(on_calendar)}


def session_frame(history: SessionHistory, releases: Collection[str]) -> pd.DataFrame:
    """Return a session's bars as pandas, the sessions before it attached as `attrs["history"]`.

    The column `released` tells the rows that an operator let pass: rules for single rows leave them out.
    """
    frame = history.bars.drop_columns(["ingested_at"]).to_pandas()
    frame["symbol"] = frame["symbol"].astype(object)
    frame["released"] = frame.pop("upload_sha256").isin(list(releases))
    frame.attrs["history"] = history
    return frame
