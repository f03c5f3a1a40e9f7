"""What is told: an incident, which can heal, or a notice of something that is no failure.

A key says what is wrong and not when, as PagerDuty's dedup_key does: what is reported again under the key of an open
incident is the same incident. Texts may be anything; they are made safe where a message is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

MOST_PARTS = 1000
"""Parts that an incident keeps; a run has no more tasks, and a row must stay small."""


class Severity(StrEnum):
    """How bad it is: decides channel, mention, and whether quiet hours hold it back."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Affected:
    """What it is about, as far as that is known.

    Attributes
    ----------
    session
        Whose forecasts are at stake.
    symbols
        How many.
    published
        Whether the session's forecasts are out.
    mend_by
        Until when it can still be mended in time, with its zone.
    """

    session: date | None = None
    symbols: int | None = None
    published: bool | None = None
    mend_by: datetime | None = None


@dataclass(frozen=True)
class Links:
    """Addresses of pages that show more."""

    run: str | None = None
    log: str | None = None
    data_docs: str | None = None
    report: str | None = None


@dataclass(frozen=True)
class Incident:
    """Something that is wrong until it heals.

    Attributes
    ----------
    key
        What is wrong: the kind, a slash, and of what: "run_failed/market_close".
    kind
        One of `include.alerts.kinds.KINDS`.
    summary
        One line.
    cause
        The exception's words, or what was measured.
    severity
        That of the kind where it is None.
    parts
        What of it failed, for instance each task of a run: all of them are one incident.
    """

    key: str
    kind: str
    summary: str
    cause: str = ""
    severity: Severity | None = None
    affected: Affected = field(default_factory=Affected)
    parts: tuple[str, ...] = ()
    links: Links = field(default_factory=Links)


@dataclass(frozen=True)
class Notice:
    """Something that people want to know and need not mend; told once by its key ("model_promoted/7")."""

    key: str
    kind: str
    summary: str
    cause: str = ""
    severity: Severity | None = None
    affected: Affected = field(default_factory=Affected)
    links: Links = field(default_factory=Links)


@dataclass(frozen=True)
class Recovery:
    """The end of the incident of a key, and what whoever saw it says."""

    key: str
    note: str | None = None


Report = Incident | Notice | Recovery
