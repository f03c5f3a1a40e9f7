"""Incidents that are over leave the database when nobody audits them any more."""

from __future__ import annotations

import sqlalchemy as sa

from include.alerts.episodes import OPEN
from include.alerts.outbox import WAITING
from include.alerts.overview import has_store
from include.alerts.store import EPISODES, OUTBOX, open_store
from include.settings import Settings


def remove_old(settings: Settings, before: float) -> int:
    """Remove what was over before a moment, with its messages; what is open or waits to be told stays.

    Returns
    -------
    int
        How many incidents and notices were removed.
    """
    if not has_store(settings):
        return 0
    waits = sa.select(OUTBOX.c.incident).where(OUTBOX.c.state == WAITING)
    old = sa.and_(EPISODES.c.status != OPEN, EPISODES.c.last_at < before, EPISODES.c.id.not_in(waits))
    with open_store(settings, "retention") as connection:
        connection.execute(OUTBOX.delete().where(OUTBOX.c.incident.in_(sa.select(EPISODES.c.id).where(old))))
        return connection.execute(EPISODES.delete().where(old)).rowcount
