"""Whether a session has what it should have by now. Pure: facts in, findings out.

A session is in at most one incident: where its upload has not come, that is why its forecasts are missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import date, datetime

from include.alerts.incidents import Incident
from include.monitoring.late import describe_missing_forecasts, describe_missing_upload
from include.watchdog.findings import Findings, Sighting
from include.watchdog.session_facts import DueSession, SessionFacts

MISSING_UPLOAD, MISSING_FORECASTS = "upload_missing", "forecasts_missing"

CLOSE_FAILED = "run_failed/market_close"

FORECAST_LOOKS = 2
"""An upload that came late is forecast within seconds: the second look sees whether it was."""


def check_sessions(
    facts: Sequence[SessionFacts], *, now: datetime, known_keys: Collection[str], closed: Collection[str] = ()
) -> Findings:
    """Judge sessions that are due.

    Parameters
    ----------
    facts
        What each has.
    now
        Aware.
    known_keys
        Of incidents that are open or were sighted; only those of the sessions in `facts` are healed. Where people know
        already that the close has failed, missing forecasts are no news.
    closed
        Keys that a person has closed: they are not reported again.
    """
    is_explained = CLOSE_FAILED in known_keys
    found = [sighting for each in facts if (sighting := _judge(each, now, is_explained=is_explained))]
    sightings = [each for each in found if each.incident.key not in closed]
    seen = {each.incident.key for each in sightings}
    judged = {
        f"{kind}/{each.due.session}"
        for each in facts
        for kind, is_there in ((MISSING_UPLOAD, each.has_upload), (MISSING_FORECASTS, each.has_forecasts))
        if is_there
    }
    return Findings(tuple(sightings), frozenset((judged & set(known_keys)) - seen))


def _judge(facts: SessionFacts, now: datetime, *, is_explained: bool) -> Sighting | None:
    due = facts.due
    if not facts.has_upload and now >= min(due.upload_due, due.forecasts_due):
        return Sighting(_miss_upload(due))
    if facts.has_upload and not facts.has_forecasts and now >= due.forecasts_due and not is_explained:
        return Sighting(_miss_forecasts(due), FORECAST_LOOKS)
    return None


def _miss_upload(due: DueSession) -> Incident:
    by = _clock(min(due.upload_due, due.forecasts_due))
    cause = f"It was due by {by}; neither the inbox nor the lake has it."
    return describe_missing_upload(due.session, cause, mend_by=due.forecasts_due)


def _miss_forecasts(due: DueSession) -> Incident:
    cause = f"They were due by {_clock(due.forecasts_due)}. Its upload is here."
    return describe_missing_forecasts(due.session, cause)


def list_known_sessions(keys: Collection[str]) -> list[date]:
    """Return the sessions that keys speak of, whichever incident it is."""
    found = []
    for kind, _, name in (key.partition("/") for key in keys):
        if kind in (MISSING_UPLOAD, MISSING_FORECASTS):
            with suppress(ValueError):  # whoever reported it named no session
                found.append(date.fromisoformat(name))
    return found


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
