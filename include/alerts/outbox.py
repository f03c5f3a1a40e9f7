"""Messages that wait to be told: a row each, which names its incident and what is to be said of it.

The words are made when the row is sent, from the incident as it stands then: what joined it meanwhile is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.episodes import Episode, read_episode
from include.alerts.store import EPISODES, OUTBOX

WAITING, SENT, VOID, REFUSED = "waiting", "sent", "void", "refused"

PAGE = 2000
"""Messages that are looked at in one go."""


class What(StrEnum):
    """What a message says of its incident."""

    OPENED = "opened"
    MORE = "more"
    AGAIN = "again"
    RECOVERED = "recovered"
    NOTICE = "notice"


@dataclass(frozen=True)
class Row:
    """One message that waits, with its incident as it stands now."""

    seq: int
    what: What
    not_before: float
    created_at: float
    attempts: int
    episode: Episode

    def is_due(self, now: float) -> bool:
        """Whether it may be told; one from the future was written before the clock was set back."""
        return self.not_before <= now or self.created_at > now


def enqueue(connection: Connection, episode: Episode, what: What, *, not_before: float, now: float) -> None:
    """Let a message of an incident wait, unless the same waits already."""
    same = sa.and_(OUTBOX.c.incident == episode.id, OUTBOX.c.what == what.value, OUTBOX.c.state == WAITING)
    if connection.execute(sa.select(OUTBOX.c.seq).where(same)).first() is None:
        row = {
            "incident": episode.id,
            "what": what.value,
            "state": WAITING,
            "not_before": not_before,
            "created_at": now,
            "attempts": 0,
        }
        connection.execute(OUTBOX.insert().values(row))


def hurry(connection: Connection, episode: Episode, now: float) -> None:
    """Let an incident's first message wait no longer for others to join."""
    mine = sa.and_(OUTBOX.c.incident == episode.id, OUTBOX.c.what == What.OPENED.value, OUTBOX.c.state == WAITING)
    connection.execute(OUTBOX.update().where(mine, OUTBOX.c.not_before > now).values(not_before=now))


def has_told(connection: Connection, episode: Episode, what: What, since: float) -> bool:
    """Whether such a message of an incident was sent since then, or waits."""
    mine = sa.and_(OUTBOX.c.incident == episode.id, OUTBOX.c.what == what.value)
    told = sa.or_(OUTBOX.c.state == WAITING, sa.and_(OUTBOX.c.state == SENT, OUTBOX.c.sent_at >= since))
    return connection.execute(sa.select(OUTBOX.c.seq).where(mine, told)).first() is not None


def list_waiting(connection: Connection, *, after: int = 0, most: int = PAGE) -> list[Row]:
    """Return the messages that wait, in the order they came: `most` of those behind the row `after`."""
    query = (
        sa.select(OUTBOX.c.seq, OUTBOX.c.what, OUTBOX.c.not_before, OUTBOX.c.created_at, OUTBOX.c.attempts, EPISODES)
        .join(EPISODES, EPISODES.c.id == OUTBOX.c.incident)
        .where(OUTBOX.c.state == WAITING, OUTBOX.c.seq > after)
        .order_by(OUTBOX.c.seq)
        .limit(most)
    )
    return [
        Row(row["seq"], What(row["what"]), row["not_before"], row["created_at"], row["attempts"], read_episode(row))
        for row in connection.execute(query).mappings()
    ]


def has_due(connection: Connection, now: float) -> bool:
    """Whether a message may be told now."""
    due = sa.and_(OUTBOX.c.state == WAITING, sa.or_(OUTBOX.c.not_before <= now, OUTBOX.c.created_at > now))
    return connection.execute(sa.select(OUTBOX.c.seq).where(due).limit(1)).first() is not None


def count_waiting(connection: Connection) -> int:
    """Return how many messages wait."""
    query = sa.select(sa.func.count()).select_from(OUTBOX).where(OUTBOX.c.state == WAITING)
    return int(connection.execute(query).scalar_one())


def void(connection: Connection, episode: Episode, *whats: What) -> None:
    """Drop what waits of an incident that was healed before anybody had to know it; all of it where none is named."""
    named = OUTBOX.c.what.in_([each.value for each in whats or What])
    mine = sa.and_(OUTBOX.c.incident == episode.id, OUTBOX.c.state == WAITING, named)
    connection.execute(OUTBOX.update().where(mine).values(state=VOID))


def postpone(connection: Connection, episode: Episode, until: float) -> None:
    """Let what waits of an incident wait longer."""
    mine = sa.and_(OUTBOX.c.incident == episode.id, OUTBOX.c.state == WAITING)
    connection.execute(OUTBOX.update().where(mine, OUTBOX.c.not_before < until).values(not_before=until))


def count_attempt(connection: Connection, rows: Sequence[Row]) -> None:
    """Note that an attempt begins."""
    mine = OUTBOX.c.seq.in_([row.seq for row in rows])
    connection.execute(OUTBOX.update().where(mine).values(attempts=OUTBOX.c.attempts + 1))


def note_answer(connection: Connection, rows: Sequence[Row], said: str) -> None:
    """Note what Slack said of an attempt."""
    connection.execute(OUTBOX.update().where(OUTBOX.c.seq.in_([row.seq for row in rows])).values(last_error=said))


def mark_sent(
    connection: Connection, rows: Sequence[Row], now: float, *, channel: str | None = None, ts: str | None = None
) -> None:
    """Note that Slack has taken a message of these rows; `channel` and `ts` are where a bot can edit it."""
    connection.execute(
        OUTBOX.update().where(OUTBOX.c.seq.in_([row.seq for row in rows])).values(state=SENT, sent_at=now)
    )
    told = EPISODES.c.id.in_([row.episode.id for row in rows])
    connection.execute(EPISODES.update().where(told).values(told_at=now))
    if len(rows) == 1 and ts and rows[0].what in (What.OPENED, What.AGAIN):
        connection.execute(EPISODES.update().where(told).values(channel=channel, ts=ts))


def mark_refused(connection: Connection, rows: Sequence[Row]) -> None:
    """Note that Slack does not take a message as it is; it stays to be seen."""
    connection.execute(OUTBOX.update().where(OUTBOX.c.seq.in_([row.seq for row in rows])).values(state=REFUSED))
