"""What the settings say of telling: which kinds, where to, whom to mention, and when to hold back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from include.alerts.incidents import Severity
from include.alerts.kinds import find_kind
from include.errors import InputError
from include.settings import Settings

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_MENTION = re.compile(r"here|channel|everyone|[UWS][A-Z0-9]{2,}")
_LASTS = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?")


@dataclass(frozen=True)
class Window:
    """A span of the day, on some week-days (0 is Monday) or all; one that ends before it begins goes over midnight."""

    begins: time
    ends: time
    days: frozenset[int]

    def holds(self, moment: datetime) -> bool:
        """Whether a moment, in the window's own zone, lies in it."""
        now = moment.time()
        if self.begins <= self.ends:
            return moment.weekday() in self.days and self.begins <= now < self.ends
        began_yesterday = (moment.weekday() - 1) % 7 in self.days
        return (moment.weekday() in self.days and now >= self.begins) or (began_yesterday and now < self.ends)


@dataclass(frozen=True)
class Policy:
    """The settings of telling, read."""

    zone: ZoneInfo
    quiet: tuple[Window, ...]
    maintenance: tuple[Window, ...]
    spans: tuple[tuple[datetime, datetime], ...]
    mentions: Mapping[Severity, str]

    def is_held(self, severity: Severity, now: float) -> bool:
        """Whether a message waits for the end of quiet hours or of maintenance."""
        moment = datetime.fromtimestamp(now, self.zone)
        if any(window.holds(moment) for window in self.maintenance):
            return True
        if any(begins <= moment < ends for begins, ends in self.spans):
            return True
        return severity is not Severity.CRITICAL and any(window.holds(moment) for window in self.quiet)


def read_policy(settings: Settings) -> Policy:
    """Read the settings of telling.

    Raises
    ------
    InputError
        One of them cannot be read.
    """
    zone = _read_zone(settings.alerts_timezone)
    windows = [part.strip() for part in (settings.alerts_maintenance or "").split(",") if part.strip()]
    dated = [each for each in windows if each[0].isdigit() and "/" in each]
    quiet = [part.strip() for part in (settings.alerts_quiet or "").split(",") if part.strip()]
    return Policy(
        zone,
        tuple(_read_window(each, "CLOSECAST_ALERTS_QUIET") for each in quiet),
        tuple(_read_window(each, "CLOSECAST_ALERTS_MAINTENANCE") for each in windows if each not in dated),
        tuple(_read_span(each, zone) for each in dated),
        _read_mentions(settings.slack_mentions),
    )


def _read_mentions(text: str | None) -> dict[Severity, str]:
    found = read_by_severity(text, "CLOSECAST_SLACK_MENTIONS")
    for mention in found.values():
        if not _MENTION.fullmatch(mention):
            rule = "who is called must be here, channel, everyone, or the id of a user (U...) or a group (S...)"
            raise InputError(rule, value=mention, place="CLOSECAST_SLACK_MENTIONS")
    return found


def check_kinds(settings: Settings) -> None:
    """Check the names of kinds that are switched.

    Raises
    ------
    InputError
        There is no such kind.
    """
    for place in ("alerts_off", "alerts_on"):
        for name in _name_kinds(getattr(settings, place)):
            try:
                find_kind(name)
            except InputError as error:
                raise InputError(error.rule, value=name, place=f"CLOSECAST_{place.upper()}") from error


def is_switched_on(settings: Settings, kind: str) -> bool:
    """Whether a kind is told of, and not only kept; a misspelt setting, which `check_kinds` finds, loses none."""
    if kind in _name_kinds(settings.alerts_off):
        return False
    return find_kind(kind).is_on or kind in _name_kinds(settings.alerts_on)


def read_by_severity(text: str | None, place: str, show: Callable[[str], str] = str) -> dict[Severity, str]:
    """Read "critical=A, info=B".

    Raises
    ------
    InputError
        It is not of this form; `show` makes the value fit to be printed.
    """
    found: dict[Severity, str] = {}
    for part in filter(None, (each.strip() for each in (text or "").split(","))):
        name, sign, value = part.partition("=")
        if not sign or name.strip() not in set(Severity) or not value.strip():
            rule = f"a choice by severity must be SEVERITY=VALUE, by commas, SEVERITY of {', '.join(Severity)}"
            raise InputError(rule, value=show(part), place=place)
        found[Severity(name.strip())] = value.strip()
    return found


def _name_kinds(text: str | None) -> set[str]:
    return {each.strip() for each in (text or "").split(",") if each.strip()}


def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        rule = "the zone must be one of the IANA database, as Europe/Berlin"
        raise InputError(rule, value=name, place="CLOSECAST_ALERTS_TIMEZONE") from error


def _read_window(text: str, place: str) -> Window:
    *named, hours = text.split()
    days = {day for part in named for day in part.split("+")}
    found = _HOURS.fullmatch(hours)
    try:
        begins, ends = (time(int(found[at]), int(found[at + 1])) for at in (1, 3)) if found else (None, None)
    except ValueError:
        begins = ends = None
    if begins is None or ends is None or begins == ends or not days <= set(_DAYS):
        raise InputError("a window must be 22:00-07:00, or with days Sat+Sun 02:00-04:00", value=text, place=place)
    numbers = frozenset(_DAYS.index(day) for day in days) if days else frozenset(range(7))
    return Window(begins, ends, numbers)


def _read_span(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first, _, last = text.partition("/")
    lasts = _LASTS.fullmatch(last)
    try:
        begins = _read_moment(first, zone)
        if lasts:
            ends = begins + timedelta(hours=int(lasts[1] or 0), minutes=int(lasts[2] or 0))
        else:
            ends = _read_moment(last, zone)
    except (ValueError, OverflowError):
        ends = begins = datetime.min.replace(tzinfo=UTC)
    if ends <= begins:
        rule = "a window of maintenance must be BEGIN/END or BEGIN/PT2H, moments as 2026-12-01T20:00"
        raise InputError(rule, value=text, place="CLOSECAST_ALERTS_MAINTENANCE")
    return begins, ends


def _read_moment(text: str, zone: ZoneInfo) -> datetime:
    """Read a moment as one of UTC: within a zone, Python counts the hours that its clocks skip."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
