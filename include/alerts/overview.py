"""How telling stands: what is open, what waits and why, for commands and pages. A home without incidents stays so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.episodes import (
    CLOSED,
    NOTICE,
    OPEN,
    RECOVERED,
    Episode,
    find_newest,
    find_open,
    list_open,
    read_episode,
)
from include.alerts.kinds import KINDS
from include.alerts.misspelt import leave_out_misspelt
from include.alerts.muting import Mute, explains, find_silencer, list_mutes
from include.alerts.outbox import count_waiting
from include.alerts.policy import is_switched_on, read_policy
from include.alerts.slack import Outcome, check_target
from include.alerts.spool import list_spooled
from include.alerts.store import EPISODES, OUTBOX, open_store, store_file
from include.alerts.targets import find_target, list_targets
from include.alerts.trouble import Trouble, end_wait, find_trouble, list_trouble
from include.errors import NotFoundError
from include.settings import Settings

CHECK_TIMEOUT_S = 5.0
MISSES = ("upload_missing", "forecasts_missing")
"""Kinds whose key names a session."""


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
    untold
        By its id, why nobody has been told yet of an incident that was asked for.
    """

    episodes: list[Episode] = field(default_factory=list)
    opened: int = 0
    waiting: int = 0
    trouble: list[Trouble] = field(default_factory=list)
    mutes: list[Mute] = field(default_factory=list)
    untold: dict[str, str] = field(default_factory=dict)


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
        episodes = [read_episode(row) for row in rows]
        return Overview(
            episodes,
            connection.execute(sa.select(sa.func.count()).select_from(EPISODES).where(is_open)).scalar_one(),
            count_waiting(connection) + len(list_spooled(settings)),
            list_trouble(connection),
            list_mutes(connection, now),
            _explain_untold(connection, settings, episodes, now),
        )


def _explain_untold(
    connection: Connection, settings: Settings, episodes: Sequence[Episode], now: float
) -> dict[str, str]:
    """Say by its id why nobody has been told of an episode, as far as settings and what is open say so."""
    untold = [each for each in episodes if each.status in (NOTICE, OPEN) and each.told_at is None]
    if not untold:
        return {}
    settings = leave_out_misspelt(settings)
    policy, mutes, opened = read_policy(settings), list_mutes(connection, now), list_open(connection)
    said = {}
    for each in untold:
        target = find_target(settings, each.severity)
        if each.kind in KINDS and not is_switched_on(settings, each.kind):
            said[each.id] = "its kind is not told"
        elif silencer := find_silencer(each, mutes, opened):
            said[each.id] = f"silenced by {silencer}"
        elif target is None:
            said[each.id] = "Slack is not set"
        elif find_trouble(connection, target):
            said[each.id] = "Slack takes no message"
        elif policy.is_held(each.severity, now):
            said[each.id] = "quiet hours or maintenance"
    return said


def read_messages(settings: Settings, name: str, now: float) -> tuple[Episode, list[dict[str, Any]], str]:
    """Read an incident, by its id or the newest of its key, its messages, and why nobody was told of it yet.

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
        why = _explain_untold(connection, settings, [episode], now).get(episode.id, "")
        return episode, [dict(row) for row in connection.execute(mine).mappings()], why


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


def require_open(settings: Settings, name: str) -> Episode:
    """Return the open incident that an id or a key names.

    Raises
    ------
    NotFoundError
        No such incident is open.
    """
    if not has_store(settings):
        raise no_incident(name)
    with open_store(settings) as connection:
        return _require_open(connection, name)


def _require_open(connection: Connection, name: str) -> Episode:
    episode = find_newest(connection, name)
    if episode is None or episode.status != OPEN:
        raise no_incident(name)
    return episode


def list_unheard(settings: Settings, cause: Episode) -> list[Episode]:
    """Return the open incidents that one explains, and that nobody was told of for that."""
    with open_store(settings) as connection:
        return [each for each in list_open(connection) if each.told_at is None and explains(cause, each)]


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
        episode = _require_open(connection, name)
        connection.execute(EPISODES.update().where(EPISODES.c.id == episode.id).values(acked_by=who))
    return episode


def read_closed(settings: Settings) -> frozenset[str]:
    """Return the keys of sessions' incidents that a person has closed: one that never was has no upload for ever.

    Raises
    ------
    UnavailableError
        The database does not answer.
    """
    if not has_store(settings):
        return frozenset()
    by_hand = EPISODES.c.note.like(f"{CLOSED}%")
    query = sa.select(EPISODES.c.key).where(EPISODES.c.kind.in_(MISSES), EPISODES.c.status == RECOVERED, by_hand)
    with open_store(settings) as connection:
        return frozenset(connection.execute(query).scalars())


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


def ask_again(settings: Settings, places: Collection[str], now: float) -> None:
    """Let what waits go at once to places that are seen to take messages, whatever they said before.

    Raises
    ------
    UnavailableError
        The database does not answer.
    """
    if not has_store(settings):
        return
    with open_store(settings) as connection:
        for target in list_targets(settings):
            if target.name in places:
                end_wait(connection, target, now)


def has_store(settings: Settings) -> bool:
    """Whether anything was ever reported, as far as that is known without making a database."""
    return settings.alerts_url is not None or store_file(settings).exists()


def describe_state(episode: Episode, untold: str = "") -> str:
    """Say in a few words how an incident stands, and where it is known, why nobody was told."""
    words: list[str] = [episode.status]
    if episode.status in (NOTICE, OPEN) and episode.told_at is None:
        words.append(f"untold: {untold}" if untold else "untold")
    return ", ".join([*words, f"acked by {episode.acked_by}"] if episode.acked_by else words)
