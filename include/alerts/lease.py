"""Who drains the outbox: one process at a time, so that messages keep their order and none is sent by two.

The holder renews the lease before each attempt; one that died holds it no longer than `LEASE_S`.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.store import LEASES

LEASE_S = 20.0
"""Longer than one attempt may take."""

MOST_S = 60.0
"""No promise reaches further: what does was made before the clock was set back."""

_DRAIN = "drain"


def take_lease(connection: Connection, holder: str, now: float, *, resident_until: float = 0.0) -> bool:
    """Take or renew the lease, if nobody else holds it."""
    row = connection.execute(sa.select(LEASES).where(LEASES.c.name == _DRAIN)).mappings().first()
    if row is None:
        first = {"name": _DRAIN, "holder": holder, "until": now + LEASE_S, "resident_until": resident_until}
        connection.execute(LEASES.insert().values(first))
        return True
    if row["holder"] != holder and now < row["until"] <= now + LEASE_S:  # later than that is another clock's
        return False
    stays = max(row["resident_until"], resident_until)
    renewed = {"holder": holder, "until": now + LEASE_S, "resident_until": stays}
    connection.execute(LEASES.update().where(LEASES.c.name == _DRAIN).values(renewed))
    return True


def give_lease_back(connection: Connection, holder: str) -> None:
    """Let the next one drain."""
    mine = sa.and_(LEASES.c.name == _DRAIN, LEASES.c.holder == holder)
    connection.execute(LEASES.update().where(mine).values(until=0.0))


def is_drained(connection: Connection, now: float) -> bool:
    """Whether somebody drains the outbox now, or stays and does so every few seconds: a failed task need not, then."""
    row = connection.execute(sa.select(LEASES.c.until, LEASES.c.resident_until).where(LEASES.c.name == _DRAIN)).first()
    return row is not None and any(now < until <= now + MOST_S for until in row)
