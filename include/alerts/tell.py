"""One message to one place: which words, as a new message, an edit or a reply. The store is not touched here."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from include.alerts.episodes import draft_episode, find_gravest
from include.alerts.incidents import Incident, Notice
from include.alerts.messages import DIGEST_LINES, Message, build_digest, build_message, describe_row
from include.alerts.misspelt import leave_out_misspelt
from include.alerts.outbox import Row, What
from include.alerts.policy import Policy, read_policy
from include.alerts.slack import Attempt, Outcome, edit_message, post_message
from include.alerts.targets import Target, find_target, list_targets
from include.alerts.text import unlink_text
from include.settings import Settings

TIMEOUT_S = 10.0
"""Of one attempt, where the caller leaves so much."""

ROLL_UP_FROM = 4
"""So many messages for one place at once are one message."""

LATE_S = 300.0
"""Two messages of which one has waited so long are one message too: after quiet hours, or after Slack was down."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What one message tells, and where: one row of the outbox or, rolled up, many."""

    target: Target
    rows: Sequence[Row]


def choose_batch(target: Target, rows: Sequence[Row], now: float) -> Batch:
    """Choose what the next message to a place tells: the oldest row, or many that have gathered.

    Parameters
    ----------
    target
        The place.
    rows
        What is due there, oldest first; at least one.
    now
        Seconds since 1970.
    """
    if _is_edit(target, rows[0]):
        return Batch(target, rows[:1])
    new = [row for row in rows if not _is_edit(target, row)]
    is_late = len(new) > 1 and now - new[0].not_before > LATE_S
    return Batch(target, new[:DIGEST_LINES] if is_late or len(new) >= ROLL_UP_FROM else new[:1])


def tell_batch(settings: Settings, policy: Policy, batch: Batch, timeout_s: float) -> Attempt:
    """Make one attempt at telling a batch."""
    target, first = batch.target, batch.rows[0]
    mention = policy.mentions.get(find_gravest(row.episode.severity for row in batch.rows), "")
    if len(batch.rows) > 1:
        return _post(target, build_digest(batch.rows, mention=mention), first, timeout_s)
    # An edit is the first message as it would be told now, under the same heading.
    shown = replace(first, what=What.OPENED) if _is_edit(target, first) else first
    message = build_message(shown, mention=mention, docs_url=settings.docs_url)
    if _is_edit(target, first) or (target.can_edit and first.what is What.RECOVERED):
        return _change(target, first, message, timeout_s)
    return _post(target, message, first, timeout_s)


def send_unkept(settings: Settings, report: Incident | Notice) -> bool:
    """Send a report that nothing could keep, as a last resort; whether Slack took it."""
    settings = leave_out_misspelt(settings)
    episode = draft_episode(report, time.time())
    row = Row(0, What.OPENED, episode.opened_at, episode.opened_at, 0, episode)
    log.error("not kept: %s", describe_row(row))
    target = find_target(settings, episode.severity)
    if target is None:
        return False
    return tell_batch(settings, read_policy(settings), Batch(target, [row]), TIMEOUT_S).outcome is Outcome.SENT


def send_test(settings: Settings, incident: str, *, timeout_s: float) -> dict[str, str]:
    """Send a test message to every place; return what is wrong by the place's name, empty words where it took it."""
    said = "This is a test: closecast can tell you what goes wrong"
    notice = replace(draft_episode(Notice("test/by hand", "test", said), time.time()), id=incident)
    message = build_message(Row(0, What.NOTICE, notice.opened_at, notice.opened_at, 0, notice))
    ends, found = time.monotonic() + timeout_s, {}
    for target in list_targets(settings):
        attempt = post_message(target, message, timeout_s=max(1.0, ends - time.monotonic()), incident=incident)
        found[target.name] = "" if attempt.outcome is Outcome.SENT else attempt.said
    return found


def _is_edit(target: Target, row: Row) -> bool:
    return target.can_edit and row.what is What.MORE and row.episode.ts is not None


def _post(target: Target, message: Message, row: Row, timeout_s: float, thread: str | None = None) -> Attempt:
    post = partial(post_message, target, timeout_s=timeout_s, incident=row.episode.id, thread=thread)
    attempt = post(message)
    if attempt.outcome is Outcome.REFUSED:  # better its line alone than nothing
        attempt = post(Message(unlink_text(message.text), []))
    return attempt


def _change(target: Target, row: Row, message: Message, timeout_s: float) -> Attempt:
    """Edit the message of an incident; of its end, tell below it as well."""
    channel, ts = row.episode.channel, row.episode.ts
    if channel is None or ts is None:
        return _post(target, message, row, timeout_s)
    edited = edit_message(target, message, timeout_s=timeout_s, channel=channel, ts=ts)
    if edited.outcome is Outcome.LOST:
        return _post(target, message, row, timeout_s)
    if edited.outcome is not Outcome.SENT or row.what is What.MORE:
        return edited
    return _post(target, message, row, timeout_s, thread=ts)
