"""What is wrong with a place that messages go to, and when it is asked again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.slack import Attempt, Outcome
from include.alerts.store import TARGETS
from include.alerts.targets import Target

LONGEST_WAIT_S = 300.0
"""Between attempts at a Slack that does not answer: after an hour of that, messages arrive within so long."""

LEAST_WAIT_S = 1.0
"""Also where it asks for less."""

LONGEST_FAULT_WAIT_S = 3600.0
"""Between attempts where only a person can mend it, or it asks for more; a changed setting is tried at once."""


@dataclass(frozen=True)
class Trouble:
    """The state of a place that did not take a message.

    Attributes
    ----------
    name
        Of the place; no secret.
    fault
        What a person must mend; None where waiting may do.
    since, blocked_until
        Seconds since 1970.
    """

    name: str
    fingerprint: str
    failures: int
    blocked_until: float
    fault: str | None
    last_error: str
    since: float

    def blocks(self, now: float) -> bool:
        """Whether the place is left alone; a wait longer than any was begun before the clock was set back."""
        return now < self.blocked_until <= now + LONGEST_FAULT_WAIT_S


def list_trouble(connection: Connection) -> list[Trouble]:
    """Return every place that took no message the last time."""
    query = sa.select(TARGETS).where(TARGETS.c.failures > 0).order_by(TARGETS.c.name)
    return [Trouble(**row) for row in connection.execute(query).mappings()]


def describe_trouble(found: Iterable[Trouble]) -> str:
    """Name places, and what each answered the last time; empty where there are none."""
    return "; ".join(f"{each.name}: {each.last_error}" for each in found)


def find_trouble(connection: Connection, target: Target) -> Trouble | None:
    """Return what is wrong with a place as it is configured now."""
    found = {each.name: each for each in list_trouble(connection)}.get(target.name)
    return found if found and found.fingerprint == target.fingerprint else None


def note_trouble(connection: Connection, target: Target, attempt: Attempt, now: float) -> Trouble:
    """Leave a place alone for a while, longer each time."""
    before = find_trouble(connection, target)
    failures = before.failures + 1 if before else 1
    is_fault = attempt.outcome is Outcome.MISCONFIGURED
    found = Trouble(
        target.name,
        target.fingerprint,
        failures,
        now + _wait(attempt, failures),
        attempt.said if is_fault else None,
        attempt.said,
        before.since if before else now,
    )
    forget_trouble(connection, target.name)
    connection.execute(TARGETS.insert().values({name: getattr(found, name) for name in Trouble.__dataclass_fields__}))
    return found


def forget_trouble(connection: Connection, name: str) -> bool:
    """Count a place as well; whether it was not."""
    return connection.execute(TARGETS.delete().where(TARGETS.c.name == name)).rowcount > 0


def end_wait(connection: Connection, target: Target, now: float) -> None:
    """Let a place that took a message by hand be asked again at once."""
    mine = (TARGETS.c.name == target.name, TARGETS.c.fingerprint == target.fingerprint, TARGETS.c.blocked_until > now)
    connection.execute(TARGETS.update().where(*mine).values(blocked_until=now))


def _wait(attempt: Attempt, failures: int) -> float:
    if attempt.wait_s is not None:
        return min(max(attempt.wait_s, LEAST_WAIT_S), LONGEST_FAULT_WAIT_S)
    is_fault = attempt.outcome is Outcome.MISCONFIGURED
    first, longest = (60.0, LONGEST_FAULT_WAIT_S) if is_fault else (1.0, LONGEST_WAIT_S)
    # Jitter keeps many homes that lost the same Slack from coming back at the same moment.
    return min(longest, first * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1.0)  # noqa: S311
