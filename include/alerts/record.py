"""What a report does to the store: an episode begun, joined or ended, and the message that this makes due."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from include.alerts.episodes import (
    Episode,
    close_episode,
    find_newest,
    find_open,
    is_graver,
    join_episode,
    list_open,
    list_recovered,
    open_episode,
)
from include.alerts.incidents import Incident, Notice, Recovery, Report
from include.alerts.muting import explains, find_silencer, list_mutes
from include.alerts.outbox import What, enqueue, has_told, hurry, postpone, void
from include.alerts.policy import is_switched_on
from include.settings import Settings

MORE_AFTER_S = 60.0
"""How long parts that come after the first message are gathered where it cannot be edited."""

EDIT_AFTER_S = 5.0
"""The same where a bot edits it."""

SETTLES_S = 120.0
"""How long what an incident caused may outlast it before it is told of in its own right."""


def record(connection: Connection, settings: Settings, report: Report, now: float, *, is_complete: bool = False) -> str:
    """Carry a report into the store; return the id of its incident, empty for the end of one that is not open."""
    if isinstance(report, Recovery):
        return _record_recovery(connection, settings, report, now)
    if isinstance(report, Notice):
        return _record_notice(connection, settings, report, now)
    return _record_incident(connection, settings, report, now, is_complete=is_complete)


def _record_incident(
    connection: Connection, settings: Settings, incident: Incident, now: float, *, is_complete: bool
) -> str:
    before = find_open(connection, incident.key)
    if before is None:
        episode = open_episode(connection, incident, now)
    else:
        episode = join_episode(connection, before, incident, now)
    if is_switched_on(settings, incident.kind):
        _enqueue_due(connection, settings, before, episode, now)
        if is_complete and not _settles_until(connection, episode, now):
            hurry(connection, episode, now)
    return episode.id


def _settles_until(connection: Connection, episode: Episode, now: float) -> float:
    """Return until when an incident waits since what explains it has just ended; 0 where nothing does."""
    causes = [each for each in list_recovered(connection, now - SETTLES_S) if explains(each, episode)]
    return max((each.recovered_at + SETTLES_S for each in causes if each.recovered_at is not None), default=0.0)


def _enqueue_due(
    connection: Connection, settings: Settings, before: Episode | None, episode: Episode, now: float
) -> None:
    """Let what has become worth saying wait: the incident, that there is more of it, or that it goes on."""
    repeat_s = settings.alerts_repeat_h * 3600
    if before is None or not has_told(connection, episode, What.OPENED, 0.0):
        joins_s = settings.alerts_group_s if episode.parts else 0.0
        due = max(now + joins_s, _settles_until(connection, episode, now))
        enqueue(connection, episode, What.OPENED, not_before=due, now=now)
    elif episode.told_at is None or episode.acked_by is not None:
        return  # the first message says all that is known when it goes; who has acked looks for himself
    elif now - episode.told_at >= repeat_s:
        enqueue(connection, episode, What.AGAIN, not_before=now, now=now)
    elif is_graver(episode, before):
        enqueue(connection, episode, What.MORE, not_before=now, now=now)
    elif settings.slack_bot_token:
        enqueue(connection, episode, What.MORE, not_before=now + EDIT_AFTER_S, now=now)
    elif (
        set(episode.parts) - set(before.parts)
        # One message more at most: who has read two of an incident looks at the page.
        and not has_told(connection, episode, What.MORE, now - repeat_s)
    ):
        enqueue(connection, episode, What.MORE, not_before=now + MORE_AFTER_S, now=now)


def _record_recovery(connection: Connection, settings: Settings, recovery: Recovery, now: float) -> str:
    before = find_open(connection, recovery.key)
    if before is None:
        return ""
    opened = list_open(connection)
    episode = close_episode(connection, before, now, recovery.note)
    for each in opened:
        if explains(episode, each):  # most of what it caused heals with it, within moments
            postpone(connection, each, now + SETTLES_S)
    is_settling = _settles_until(connection, episode, now) > 0
    if episode.told_at is None and (is_settling or find_silencer(before, list_mutes(connection, now), opened)):
        void(connection, episode)
        return episode.id
    void(connection, episode, What.MORE, What.AGAIN)
    hurry(connection, episode, now)  # that it began is told before that it is over
    if is_switched_on(settings, episode.kind):
        enqueue(connection, episode, What.RECOVERED, not_before=now, now=now)
    return episode.id


def _record_notice(connection: Connection, settings: Settings, notice: Notice, now: float) -> str:
    last = find_newest(connection, notice.key)
    if last is not None and now - last.opened_at < settings.alerts_repeat_h * 3600:
        return last.id  # a task that is tried again says it again
    episode = open_episode(connection, notice, now)
    if is_switched_on(settings, notice.kind):
        enqueue(connection, episode, What.NOTICE, not_before=now, now=now)
    return episode.id
