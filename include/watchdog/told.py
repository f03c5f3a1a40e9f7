"""What people have been told, from the store of incidents: which are open, when a DAG's failure was last told.

And whether Slack takes what waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from include.alerts.deliver import UNASKED_S
from include.alerts.episodes import list_open
from include.alerts.store import EPISODES, open_store
from include.alerts.trouble import describe_trouble, list_trouble
from include.settings import Settings

FAILURES = ("run_failed", "gate_refused_session")
"""Kinds whose key names a DAG that failed."""


def read_open_keys(settings: Settings) -> frozenset[str]:
    """Return the keys of the open incidents.

    Raises
    ------
    UnavailableError
        The store of incidents does not answer.
    """
    with open_store(settings) as connection:
        return frozenset(each.key for each in list_open(connection))


def read_told(settings: Settings) -> Mapping[str, datetime]:
    """Return when each DAG's failure was last told."""
    query = sa.select(EPISODES.c.key, sa.func.max(EPISODES.c.last_at)).where(EPISODES.c.kind.in_(FAILURES))
    with open_store(settings) as connection:
        rows = connection.execute(query.group_by(EPISODES.c.key)).all()
    told: dict[str, datetime] = {}
    for key, last_at in rows:
        dag_id = key.partition("/")[2]
        told[dag_id] = max(datetime.fromtimestamp(last_at, UTC), told.get(dag_id, datetime.min.replace(tzinfo=UTC)))
    return told


def read_trouble(settings: Settings, now: datetime) -> str | None:
    """Say which place in Slack takes no messages now, and why; None where all do, or none is set."""
    with open_store(settings) as connection:
        found = [each for each in list_trouble(connection) if each.blocked_until > now.timestamp() - UNASKED_S]
    return describe_trouble(found) or None
