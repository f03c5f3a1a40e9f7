"""Which sessions should have their upload and their forecasts by now, and which have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from include.ingest.arrival import is_session_here
from include.lake.runs import scored_sessions
from include.market.sessions import is_session, newest_closed_session, session_close, sessions_between
from include.settings import Settings

LOOK_BACK = 5
"""Newest closed sessions that are looked at: what is older has been told, or was never asked for."""

NEVER = datetime.max.replace(tzinfo=UTC)

LONGEST_LOOK_BACK = timedelta(days=60)
"""Days that hold so many sessions of any exchange, and few enough to be listed at once."""


@dataclass(frozen=True)
class DueSession:
    """A session that has closed and is scheduled, and until when its upload and its forecasts should be there."""

    session: date
    upload_due: datetime
    forecasts_due: datetime


@dataclass(frozen=True)
class SessionFacts:
    """What a session has."""

    due: DueSession
    has_upload: bool
    has_forecasts: bool


def list_due(
    settings: Settings, now: datetime, *, since: datetime, also: Collection[date] = (), begun: date | None = None
) -> list[DueSession]:
    """List the newest sessions that have closed and that `market_close` is scheduled for, oldest first.

    Parameters
    ----------
    settings
        Its calendar knows holidays and half days: a session is due by its own close.
    now
        Aware.
    since
        When the system was started. What closed before has the same time from then on: a system that catches up, or
        is shown old sessions, is not late.
    also
        Older sessions that are to be listed all the same, such as those of open incidents.
    begun
        First session that counts where the settings name none.
    """
    first = settings.first_session or begun
    if first is None:
        return []
    newest = newest_closed_session(settings.calendar, now)
    last = min(newest, settings.last_session or newest)
    earliest = max(first, last - LONGEST_LOOK_BACK)
    chosen = sorted({*sessions_between(settings.calendar, earliest, last)[-LOOK_BACK:], *also})
    return [_date_session(settings, session, since) for session in chosen]


def _date_session(settings: Settings, session: date, since: datetime) -> DueSession:
    if not is_session(settings.calendar, session):  # a run by hand for a day without trade: nothing is ever due
        return DueSession(session, upload_due=NEVER, forecasts_due=NEVER)
    begun = max(since, session_close(settings.calendar, session))
    return DueSession(
        session,
        upload_due=begun + timedelta(seconds=settings.upload_due_s),
        forecasts_due=begun + timedelta(seconds=settings.forecast_deadline_s),
    )


def read_sessions(
    settings: Settings, now: datetime, *, since: datetime, also: Collection[date] = ()
) -> list[SessionFacts]:
    """Look which of the sessions that are due have their upload and their forecasts.

    Raises
    ------
    InputError
        The inbox may not be read.
    UnavailableError
        The object store does not answer.
    """
    scored = scored_sessions(settings.lake)
    begun = next(iter(scored), None)
    return [
        SessionFacts(
            due,
            # An upload that became forecasts was there: the inbox need not be listed for it.
            has_upload=due.session in scored or is_session_here(settings, due.session),
            has_forecasts=due.session in scored,
        )
        for due in list_due(settings, now, since=since, also=also, begun=begun)
    ]
