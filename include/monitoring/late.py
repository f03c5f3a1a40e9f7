"""A session whose upload or forecasts are not there by their deadline: no failure, perhaps, and yet nobody has them.

Airflow's deadline alert and the watchdog report it by the same keys and words, so that either may be the first.
"""

from __future__ import annotations

from datetime import date, datetime

from include.alerts.incidents import Affected, Incident, Links
from include.alerts.overview import read_closed
from include.alerts.report import report_incident
from include.errors import ClosecastError
from include.ingest.arrival import is_session_here
from include.settings import Settings


def describe_missing_upload(
    session: date, cause: str, *, mend_by: datetime | None = None, links: Links | None = None
) -> Incident:
    """Give the incident of an upload that has not come; by `mend_by` its forecasts are due."""
    affected = Affected(session, published=False, mend_by=mend_by)
    summary = f"The upload of session {session} has not come"
    return Incident(
        f"upload_missing/{session}", "upload_missing", summary, cause, affected=affected, links=links or Links()
    )


def describe_missing_forecasts(session: date, cause: str, *, links: Links | None = None) -> Incident:
    """Give the incident of a session whose upload is here, and whose forecasts are not."""
    affected, summary = Affected(session, published=False), f"Session {session} has no forecasts"
    return Incident(
        f"forecasts_missing/{session}", "forecasts_missing", summary, cause, affected=affected, links=links or Links()
    )


def report_late(settings: Settings, session: date, *, run: str | None = None) -> str | None:
    """Report that a session's forecasts are late, or that its upload is.

    Returns
    -------
    str | None
        The kind; None where the forecasts are out, or a person has closed that incident.
    """
    if (settings.published / f"{session}.csv").is_file():
        return None
    said, links = (
        f"The deadline, {settings.forecast_deadline_s / 3600:g} h after its run was due, has passed.",
        Links(run),
    )
    if _has_upload(settings, session):
        incident = describe_missing_forecasts(session, f"{said} Its upload is here.", links=links)
    else:
        incident = describe_missing_upload(session, f"{said} Neither the inbox nor the lake has it.", links=links)
    if _is_closed(settings, incident.key):
        return None
    report_incident(settings, incident)
    return incident.kind


def _is_closed(settings: Settings, key: str) -> bool:
    try:
        return key in read_closed(settings)
    except ClosecastError:  # a store that does not answer closes nothing
        return False


def _has_upload(settings: Settings, session: date) -> bool:
    try:
        return is_session_here(settings, session)
    except ClosecastError:  # an inbox that cannot be read is no upload that did not come
        return True
