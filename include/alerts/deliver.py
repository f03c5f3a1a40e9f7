"""Tell Slack what waits: in order, one drainer at a time, rolled up where much has gathered, and at least once.

A message is marked as sent after Slack has taken it. A drainer that dies in between leaves it to the next, so that
Slack may hear it twice, with the same id, and never not at all. A place that does not take messages is left alone for
a while, longer each time, or as long as it asks; what is for it waits, in order. Where a person must mend something it
is asked again every hour, and at once after the settings have changed.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from include.alerts.episodes import list_open
from include.alerts.incidents import Incident, Recovery, Severity
from include.alerts.lease import give_lease_back, take_lease
from include.alerts.misspelt import leave_out_misspelt
from include.alerts.muting import find_silencer, list_mutes
from include.alerts.outbox import (
    Row,
    What,
    count_attempt,
    count_waiting,
    list_waiting,
    mark_refused,
    mark_sent,
    note_answer,
)
from include.alerts.policy import Policy, read_policy
from include.alerts.record import record
from include.alerts.reserve import keep_reserve
from include.alerts.slack import Attempt, Outcome
from include.alerts.spool import list_spooled, read_spooled
from include.alerts.store import open_store
from include.alerts.targets import Target, find_target, list_targets
from include.alerts.tell import TIMEOUT_S, Batch, choose_batch, tell_batch
from include.alerts.trouble import find_trouble, forget_trouble, list_trouble, note_trouble
from include.errors import InputError, UnavailableError
from include.settings import Settings

LEAST_S = 0.5
"""With less time left, nothing is sent."""

RESIDENT_S = 30.0
"""How long after its last round a process that stays counts as alive."""

UNASKED_S = 900.0
"""A place in Slack that was not asked again for so long after it was due is one that settings no longer name."""

_LEASE = "lease"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """What a round did: messages that Slack took, rows of the outbox that they told, and rows that wait still."""

    messages: int = 0
    told: int = 0
    waiting: int = 0
    trouble: str | None = None


def deliver(
    settings: Settings, *, deadline_s: float, is_resident: bool = False, clock: Callable[[], float] = time.time
) -> Delivered:
    """Tell what is due, for `deadline_s` seconds at most; nothing where another process is at it.

    Parameters
    ----------
    settings
        The home and its Slack.
    deadline_s
        From now.
    is_resident
        The caller comes again every few seconds: while it does, failed tasks leave the telling to it.
    clock
        The time, seconds since 1970.

    Raises
    ------
    InputError
        The address of the database is none.
    UnavailableError
        The database does not answer.
    """
    settings = leave_out_misspelt(settings)
    drain = _Drain(settings, read_policy(settings), time.monotonic() + deadline_s, clock, is_resident)
    if not drain.hold():
        return Delivered()
    try:
        keep_reserve(settings)
        drain.forget_unnamed()
        drain.take_spooled()
        drain.run()
    finally:
        drain.let_go()
    return Delivered(drain.messages, drain.told, drain.waiting, drain.trouble)


@dataclass
class _Drain:
    """One round over the outbox, under the lease."""

    settings: Settings
    policy: Policy
    ends: float
    clock: Callable[[], float]
    is_resident: bool = False
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    messages: int = 0
    told: int = 0
    waiting: int = 0
    trouble: str | None = None

    def hold(self) -> bool:
        """Take the lease, or keep it."""
        now = self.clock()
        stays_until = now + RESIDENT_S if self.is_resident else 0.0
        with open_store(self.settings, _LEASE) as connection:
            return take_lease(connection, self.holder, now, resident_until=stays_until)

    def let_go(self) -> None:
        """Leave the rest to the next."""
        with contextlib.suppress(UnavailableError), open_store(self.settings, _LEASE) as connection:
            give_lease_back(connection, self.holder)
            self.waiting = count_waiting(connection)

    def forget_unnamed(self) -> None:
        """End the trouble of places that settings no longer name: nothing is sent there that could end it.

        A process that stays has the settings of the system, and knows at once; another may lack them, and waits until
        nobody has asked the place for long.
        """
        with open_store(self.settings, _LEASE) as connection:
            trouble = list_trouble(connection)
            named = {each.name for each in list_targets(self.settings)} if trouble else set()
            for each in trouble:
                is_left = self.is_resident or self.clock() > each.blocked_until + UNASKED_S
                if each.name not in named and is_left and forget_trouble(connection, each.name):
                    note = "No setting names this place any more."
                    record(connection, self.settings, Recovery(_fault_key(each.name), note), self.clock())

    def take_spooled(self) -> None:
        """Carry into the store what it could not take when it was reported."""
        for path in list_spooled(self.settings):
            try:
                report, at = read_spooled(path)
                with open_store(self.settings, report.key) as connection:
                    record(connection, self.settings, report, at)
            except FileNotFoundError:
                continue  # the database has taken it after all
            except (ValueError, KeyError, TypeError, AttributeError, InputError):
                log.exception("no report that can be read: %s", path)
                path.replace(path.with_suffix(".unreadable"))
            path.unlink(missing_ok=True)

    def run(self) -> None:
        """Send batch after batch, until nothing is due or the time is over."""
        while (timeout_s := min(TIMEOUT_S, self.ends - time.monotonic())) >= LEAST_S:
            batch = self._choose()
            if batch is None or not self._begin(batch):
                return
            self._settle(batch, tell_batch(self.settings, self.policy, batch, timeout_s))

    def _choose(self) -> Batch | None:
        """Find the oldest message that can be told now, and those that go with it."""
        now = self.clock()
        with open_store(self.settings) as connection:
            page = list_waiting(connection)
            targets = {each: self._find_open(connection, each, now) for each in Severity} if page else {}
            while page:
                due = self._list_tellable(connection, page, now)
                placed = [(target, row) for row in due if (target := targets[row.episode.severity]) is not None]
                if placed:
                    first = placed[0][0]
                    return choose_batch(first, [row for target, row in placed if target == first], now)
                page = list_waiting(connection, after=page[-1].seq)  # what is held back hides nothing behind it
        return None

    def _list_tellable(self, connection: Connection, rows: list[Row], now: float) -> list[Row]:
        """Return what is due and neither held back by the hour nor muted, oldest first."""
        due = [row for row in rows if row.is_due(now) and not self.policy.is_held(row.episode.severity, now)]
        if not due:
            return []
        mutes, opened = list_mutes(connection, now), list_open(connection)
        return [row for row in due if row.what is What.RECOVERED or not find_silencer(row.episode, mutes, opened)]

    def _find_open(self, connection: Connection, severity: Severity, now: float) -> Target | None:
        """Return where messages of a severity go, if that place takes any now."""
        target = find_target(self.settings, severity)
        trouble = find_trouble(connection, target) if target else None
        return None if trouble and trouble.blocks(now) else target

    def _begin(self, batch: Batch) -> bool:
        """Count the attempt before it is made: where this cannot be written, that it was sent could not be either."""
        now = self.clock()
        with open_store(self.settings, _LEASE) as connection:
            count_attempt(connection, batch.rows)
            return take_lease(connection, self.holder, now)

    def _settle(self, batch: Batch, attempt: Attempt) -> None:
        """Write down what became of an attempt."""
        now, target = self.clock(), batch.target
        with open_store(self.settings, _LEASE) as connection:
            note_answer(connection, batch.rows, attempt.said)
            if attempt.outcome is Outcome.SENT:
                mark_sent(connection, batch.rows, now, channel=attempt.channel, ts=attempt.ts)
                self.messages, self.told = self.messages + 1, self.told + len(batch.rows)
                if forget_trouble(connection, target.name):
                    record(connection, self.settings, Recovery(_fault_key(target.name)), now)
            elif attempt.outcome is Outcome.REFUSED:
                mark_refused(connection, batch.rows)
                log.error("Slack refused a message (%s): incident %s", attempt.said, batch.rows[0].episode.id)
            else:
                trouble = note_trouble(connection, target, attempt, now)
                self.trouble = f"{target.name}: {attempt.said}"
                if trouble.fault:
                    record(connection, self.settings, _describe_fault(target, trouble.fault), now)


def _fault_key(place: str) -> str:
    return f"slack_refused/{place}"


def _describe_fault(target: Target, fault: str) -> Incident:
    return Incident(_fault_key(target.name), "slack_refused", f"Slack takes no message by {target.name}", fault)
