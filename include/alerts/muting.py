"""What is kept and not told for now: what a person muted, and what an open incident explains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.episodes import Episode
from include.alerts.kinds import recall_kind
from include.alerts.store import MUTES

ALL = "*"


@dataclass(frozen=True)
class Mute:
    """A person's wish not to be told of a key, a kind, or anything (*) until a moment."""

    key: str
    until: float
    who: str
    why: str

    def covers(self, episode: Episode) -> bool:
        """Whether an incident is muted by it."""
        return self.key in (ALL, episode.key, episode.kind)


def set_mute(connection: Connection, mute: Mute) -> None:
    """Mute, or change what was said of the same key before."""
    connection.execute(MUTES.delete().where(MUTES.c.key == mute.key))
    connection.execute(MUTES.insert().values(key=mute.key, until=mute.until, who=mute.who, why=mute.why))


def end_mute(connection: Connection, key: str) -> bool:
    """Tell again of a key; whether it was muted."""
    return connection.execute(MUTES.delete().where(MUTES.c.key == key)).rowcount > 0


def list_mutes(connection: Connection, now: float) -> list[Mute]:
    """Return the mutes that hold."""
    query = sa.select(MUTES).where(MUTES.c.until > now).order_by(MUTES.c.key)
    return [Mute(**row) for row in connection.execute(query).mappings()]


def find_silencer(episode: Episode, mutes: Collection[Mute], opened: Sequence[Episode]) -> str | None:
    """Return the key of what keeps an incident from being told: a mute, or the open incident that explains it."""
    for mute in mutes:
        if mute.covers(episode):
            return mute.key
    return next((cause.key for cause in opened if explains(cause, episode)), None)


def explains(cause: Episode, episode: Episode) -> bool:
    """Whether one incident is a consequence of another; where both are about a session, about the same."""
    about = {each.affected.session for each in (cause, episode)} - {None}
    kind, name = recall_kind(cause.kind), cause.key.partition("/")[2]
    if kind.mutes_as not in ("", name):
        return False
    mutes = [each.format(name) for each in kind.mutes]
    is_listed = any(_covers(each, episode) for each in mutes)
    return is_listed and cause.id != episode.id and len(about) < 2


def _covers(muted: str, episode: Episode) -> bool:
    """Whether an incident is of a kind or a key, and where a task is named, nothing else of it failed."""
    named, _, task = muted.partition("#")
    if named not in (episode.kind, episode.key):
        return False
    return not task or (bool(episode.parts) and all(part.startswith(task) for part in episode.parts))
