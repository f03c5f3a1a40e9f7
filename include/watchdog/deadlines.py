"""The closes of a calendar's next sessions, asked of a process of its own.

Calendars need pandas (100 MB), which the watcher outside Airflow is not to hold for the life of a system: a child that
lives for seconds, a few times a day, tells it the closes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from include.errors import UnavailableError
from include.settings import Settings
from include.system.environment import program_environment

AHEAD = timedelta(days=14)
BEHIND = timedelta(days=14)
CHILD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Close:
    """A session and when it closes, in UTC."""

    session: date
    moment: datetime


def ask_closes(settings: Settings, now: datetime) -> list[Close]:
    """Ask a child for the closes from BEHIND to AHEAD of a moment, oldest first.

    Raises
    ------
    UnavailableError
        The child failed; its last line says why.
    """
    argv = [sys.executable, "-m", "include.watchdog.deadlines", settings.calendar, now.isoformat()]
    environment = program_environment(settings)
    asked = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False)
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()[-1:]
        raise UnavailableError("the calendar's closes must be known", value=" ".join(said), place=settings.calendar)
    return [Close(date.fromisoformat(day), datetime.fromisoformat(at)) for day, at in json.loads(asked.stdout)]


def find_late(
    closes: Sequence[Close],
    *,
    newest: date | None,
    begun: date | None,
    since: datetime,
    limit: timedelta,
    now: datetime,
) -> Close | None:
    """Find the newest session whose forecasts should be out by now and are not.

    Parameters
    ----------
    closes
        Oldest first.
    newest
        Session of the newest forecasts, if there are any.
    begun
        First session that is scheduled; where it is None, the ones after `newest` are.
    since
        When the system was started: what closed before has the same time from then on.
    limit
        From close to forecasts.
    now
        Aware.
    """
    first = begun or newest
    if first is None:
        return None
    due = [each for each in closes if each.session >= first and max(each.moment, since) + limit <= now]
    return due[-1] if due and (newest is None or due[-1].session > newest) else None


def main(calendar: str, moment: str) -> None:
    """Print the closes as JSON."""
    from include.market.sessions import session_close, sessions_between

    now = datetime.fromisoformat(moment).astimezone(UTC)
    sessions = sessions_between(calendar, (now - BEHIND).date(), (now + AHEAD).date())
    sys.stdout.write(json.dumps([[day.isoformat(), session_close(calendar, day).isoformat()] for day in sessions]))


if __name__ == "__main__":
    main(*sys.argv[1:])
