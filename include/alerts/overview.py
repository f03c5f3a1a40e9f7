"""How telling stands: what is open, what waits and why, for commands and pages. A home without incidents stays so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from include.alerts.episodes import NOTICE, OPEN, Episode, find_newest, find_open, read_episode
from include.alerts.muting import Mute, list_mutes
from include.alerts.outbox import count_waiting
from include.alerts.slack import Outcome, check_target
from include.alerts.spool import list_spooled
from include.alerts.store import EPISODES, OUTBOX, open_store, store_file
from include.alerts.targets import list_targets
from include.alerts.trouble import Trouble, list_trouble
from include.errors import NotFoundError
from include.settings import Settings

CHECK_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Overview:
    """What is open and how Slack hears of it.

    Attributes
    ----------
    episodes
        Those that were asked for, newest first.
    opened
        How many are open.
    waiting
        Messages that Slack has not taken.
    trouble
        Places that took no message the last time.
    """

    episodes: list[Episode] = field(default_factory=list)
    opened: int = 0
    waiting: int = 0
    trouble: list[Trouble] = field(default_factory=list)
    mutes: list[Mute] = field(default_factory=list)


def read_overview(settings: Settings, now: float, *, every: bool = False, most: int = 50) -> Overview:
    """Read the open incidents, or the newest of all.

    Raises
    ------
    UnavailableError
        The database does not answer.
    """
    if not has_store(settings):
        return Overview(waiting=len(list_spooled(settings)))
    chosen = sa.select(EPISODES).order_by(EPISODES.c.last_at.desc()).limit(most)
    is_open = EPISODES.c.status == OPEN
    with open_store(settings) as connection:
        rows = connection.execute(chosen if every else chosen.where(is_open)).mappings().all()
        return Overview(
            [read_episode(row) for row in rows],
            connection.execute(sa.select(sa.func.count()).select_from(EPISODES).where(is_open)).scalar_one(),
            count_waiting(connection) + len(list_spooled(settings)),
            list_trouble(connection),
            list_mutes(connection, now),
        )


def read_messages(settings: Settings, name: str) -> tuple[Episode, list[dict[str, Any]]]:
    """Read an incident, by its id or the newest of its key, and its messages.

    Raises
    ------
    NotFoundError
        There is none.
    """
    if not has_store(settings):
        raise no_incident(name)
    with open_store(settings) as connection:
        episode = find_newest(connection, name)
        if episode is None:
            raise no_incident(name)
        mine = OUTBOX.select().where(OUTBOX.c.incident == episode.id).order_by(OUTBOX.c.seq)
        return episode, [dict(row) for row in connection.execute(mine).mappings()]


def find_open_now(settings: Settings, key: str) -> Episode | None:
    """Return the open incident of a key.

    Raises
    ------
    UnavailableError
        The database does not answer.
    """
    if not has_store(settings):
        return None
    with open_store(settings) as connection:
        return find_open(connection, key)


def ack_episode(settings: Settings, name: str, who: str) -> Episode:
    """Note that somebody has an incident in hand: it is told no more until it is over.

    Raises
    ------
    NotFoundError
        No such incident is open.
    """
    if not has_store(settings):
        raise no_incident(name)
    with open_store(settings, name) as connection:
        episode = find_newest(connection, name)
        if episode is None or episode.status != OPEN:
            raise no_incident(name)
        connection.execute(EPISODES.update().where(EPISODES.c.id == episode.id).values(acked_by=who))
    return episode


def no_incident(name: str) -> NotFoundError:
    """Give the error of who asks for an incident that is not there."""
    return NotFoundError("an incident must be open or known by this id or key (closecast alerts list)", value=name)


def check_slack(settings: Settings, *, timeout_s: float = CHECK_TIMEOUT_S) -> dict[str, str]:
    """Ask each place that messages go to; return what is wrong by its name, empty words where nothing is.

    Raises
    ------
    InputError
        A setting cannot be read.
    """
    asked = {target.name: check_target(target, timeout_s=timeout_s) for target in list_targets(settings)}
    return {name: "" if each.outcome is Outcome.SENT else each.said for name, each in asked.items()}


def has_store(settings: Settings) -> bool:
    """Whether anything was ever reported, as far as that is known without making a database."""
    return settings.alerts_url is not None or store_file(settings).exists()


def describe_state(episode: Episode) -> str:
    """Say in a word how an incident stands."""
    if episode.status in (NOTICE, OPEN) and episode.told_at is None:
        return f"{episode.status}, untold"
    return f"{episode.status}, acked by {episode.acked_by}" if episode.acked_by else episode.status
