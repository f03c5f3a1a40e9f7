"""Sessions and closes of any exchange that exchange_calendars knows.

A session is a date in the exchange's own calendar; a close is a moment in UTC. exchange_calendars takes half a second
to import, so it is imported where it is used, and a calendar ends where it was told to when it was built, so none is
kept here: its own cache answers while the asked end, a year and a month from today, stays the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar
    from numpy.typing import NDArray

FIRST_DAY = date(1990, 1, 1)
"""No session before this day is known; a calendar costs the same time to build from here as from 2010."""

CLOSE_ALLOWANCE = timedelta(minutes=5)
"""How far the clock of who writes an upload at the close may be ahead of ours."""

_WEEKEND_SHARE = 0.1
_AHEAD = timedelta(days=366 + 31)
_WELL_KNOWN = "24/7, XNYS, XLON, XTKS, XHKG, XFRA"


def load_calendar(name: str) -> ExchangeCalendar:
    """Build the calendar of an exchange, from FIRST_DAY (or its own first day) to a year and a month ahead.

    Parameters
    ----------
    name
        A name that exchange_calendars knows: 24/7, XNYS, ...

    Returns
    -------
    ExchangeCalendar
        Good for today; do not keep it for the life of a process.

    Raises
    ------
    InputError
        If there is no such calendar.
    """
    import exchange_calendars as xc

    end = date.today() + _AHEAD  # a bound with a month to spare, not a session
    try:
        return _build(name, start=FIRST_DAY.isoformat(), end=end.isoformat())
    except xc.errors.InvalidCalendarName as error:
        rule = f"calendar must be a name that exchange_calendars knows, such as {_WELL_KNOWN}"
        raise InputError(rule, value=name, place="CLOSECAST_CALENDAR") from error
    except ValueError:  # some exchanges publish their holidays for a shorter time
        return _load_bounded(name, end)


def is_session(calendar_name: str, day: date) -> bool:
    """Tell whether the exchange trades on a day; False outside the time that its calendar covers."""
    return bool(np.isin(np.datetime64(day, "D"), _days(load_calendar(calendar_name))))


def sessions_between(calendar_name: str, first: date, last: date) -> list[date]:
    """List the sessions from first to last, both included, oldest first; empty where first is after last."""
    days = _days(load_calendar(calendar_name))
    chosen: list[date] = days[(days >= np.datetime64(first, "D")) & (days <= np.datetime64(last, "D"))].tolist()
    return chosen


def next_session(name: str, day: date) -> date:
    """Find the first session after a day, which need not be a session itself.

    Raises
    ------
    InputError
        If the calendar ends before.
    """
    days = _days(load_calendar(name))
    return _pick(days, int(np.searchsorted(days, np.datetime64(day, "D"), side="right")), name, day)


def previous_session(name: str, day: date) -> date:
    """Find the last session before a day, which need not be a session itself.

    Raises
    ------
    InputError
        If the calendar begins later.
    """
    days = _days(load_calendar(name))
    return _pick(days, int(np.searchsorted(days, np.datetime64(day, "D"))) - 1, name, day)


def session_close(name: str, day: date) -> datetime:
    """Give the moment, in UTC, at which a session closes; a 24/7 session closes at the next midnight.

    Raises
    ------
    InputError
        If the day is not a session.
    """
    calendar = load_calendar(name)
    days = _days(calendar)
    at = int(np.searchsorted(days, np.datetime64(day, "D")))
    if at == len(days) or days[at] != np.datetime64(day, "D"):
        raise InputError(f"session must be a day on which {name} trades", value=day)
    return _moment(_closes(calendar)[at])


def newest_closed_session(name: str, moment: datetime) -> date:
    """Find the last session that has closed at a moment; a close at the very moment counts.

    Parameters
    ----------
    name
        Calendar.
    moment
        Aware; of any time zone.

    Raises
    ------
    InputError
        If the moment is naive, or no session of the calendar has closed by then.
    """
    if moment.tzinfo is None:
        raise InputError("moment must have a time zone", value=moment)
    calendar = load_calendar(name)
    at = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
    return _pick(_days(calendar), int(np.searchsorted(_closes(calendar), at, side="right")) - 1, name, moment)


def newest_ingestible_session(name: str, now: datetime) -> date:
    """Find the last session whose bars can be whole: it has closed, or does within CLOSE_ALLOWANCE.

    A row of a later session is a price of a running session, or a wrong date: whoever trained on it would have looked
    ahead. No more is allowed for: a market that closes earlier than its calendar says has few hours to wait, and a file
    with tomorrow's date must not become tomorrow's session.

    Parameters
    ----------
    name
        Calendar.
    now
        Aware; of any time zone.

    Raises
    ------
    InputError
        If the moment is naive, or no session of the calendar has closed by then.
    """
    return newest_closed_session(name, now + CLOSE_ALLOWANCE)


def off_calendar(name: str, sessions: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Mark the rows whose date is not a session of the exchange.

    Parameters
    ----------
    name
        Calendar.
    sessions
        date32, (n_rows,).

    Returns
    -------
    numpy.ndarray
        bool, (n_rows,): True where the date is missing, is no session, or lies outside the calendar's time.
    """
    known = pa.array(_days(load_calendar(name)), type=pa.date32())
    found: NDArray[np.bool_] = np.asarray(pc.is_in(sessions, value_set=known), dtype=bool)
    return ~found


def guess_calendar(sessions: Iterable[date]) -> str:
    """Tell the calendar from the dates of a file: 24/7 where week-ends trade, else XNYS where it fits.

    A 24/7 market has two dates of seven in a week-end; a file of US stocks can hold a few stray ones (19 Saturdays of
    525 dates in a real one, with one to three rows each), so a tenth decides. XNYS fits where at least five different
    dates came and at most five of those on weekdays, or one in a hundred, are not its sessions. A day or two cannot
    tell one market from another.

    Raises
    ------
    InputError
        If the dates don't tell.
    """
    days = np.unique(np.array(list(sessions), dtype="datetime64[D]"))
    weekdays = days[np.is_busday(days)]
    if len(days) - len(weekdays) > _WEEKEND_SHARE * len(days):
        return "24/7"
    strange = int((~np.isin(weekdays, _days(load_calendar("XNYS")))).sum())
    if len(weekdays) >= 5 and strange <= max(5, 0.01 * len(weekdays)) and strange < 0.5 * len(weekdays):
        return "XNYS"
    rule = "the dates must tell the calendar, or CALENDAR must be set to one (24/7, XNYS, ...)"
    raise InputError(rule, value=f"{len(weekdays)} different weekdays, {strange} of them not sessions of XNYS")


def _build(name: str, **bounds: str) -> ExchangeCalendar:
    """Build a calendar without exchange_calendars' use of a pandas call that is deprecated since pandas 3.1."""
    import exchange_calendars as xc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Series.values returning an ndarray that drops timezone")
        return xc.get_calendar(name, **bounds)


def _load_bounded(name: str, end: date) -> ExchangeCalendar:
    """Build a calendar that knows fewer years than were asked for."""
    kind = type(_build(name))
    bounds = (kind.bound_min(), kind.bound_max())
    first = FIRST_DAY if bounds[0] is None else max(FIRST_DAY, bounds[0].date())
    last = end if bounds[1] is None else min(end, bounds[1].date())
    return _build(name, start=first.isoformat(), end=last.isoformat())


def _days(calendar: ExchangeCalendar) -> NDArray[np.datetime64]:
    """Sessions as datetime64[D], ascending."""
    days: NDArray[np.datetime64] = calendar.sessions.to_numpy().astype("datetime64[D]")
    return days


def _closes(calendar: ExchangeCalendar) -> NDArray[np.datetime64]:
    """Closes as datetime64[us] in UTC, beside `_days`."""
    closes: NDArray[np.datetime64] = calendar.closes.dt.tz_convert(None).to_numpy().astype("datetime64[us]")
    return closes


def _moment(close: np.datetime64) -> datetime:
    naive: datetime = close.astype(datetime)
    return naive.replace(tzinfo=UTC)


def _pick(days: NDArray[np.datetime64], at: int, name: str, asked: Any) -> date:
    """Return the session at a position, or say how far the calendar reaches."""
    if not 0 <= at < len(days):
        raise InputError(f"the calendar {name} covers sessions from {days[0]} to {days[-1]}", value=asked)
    found: date = days[at].tolist()
    return found
