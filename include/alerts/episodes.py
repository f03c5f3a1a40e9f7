"""An episode: an incident from its first report to its recovery, as rows of the store."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from include.alerts.incidents import MOST_PARTS, Affected, Incident, Links, Notice, Severity
from include.alerts.kinds import find_kind
from include.alerts.store import EPISODES

OPEN, RECOVERED, NOTICE = "open", "recovered", "notice"

CLOSED = "Closed by "
"""How the note of an incident begins that a person has ended."""

_GRAVE = list(reversed(Severity))


@dataclass(frozen=True)
class Episode:
    """One episode; see `include.alerts.incidents.Incident` for what it says.

    Attributes
    ----------
    id
        In every message of it.
    status
        open, recovered, or notice for what has no end.
    count
        How often it was reported.
    told_at
        When its newest message was sent; None before.
    channel, ts
        Of the message that a bot can edit.
    """

    id: str
    key: str
    kind: str
    severity: Severity
    status: str
    summary: str
    cause: str
    affected: Affected
    links: Links
    parts: tuple[str, ...]
    count: int
    opened_at: float
    last_at: float
    recovered_at: float | None = None
    note: str | None = None
    told_at: float | None = None
    acked_by: str | None = None
    channel: str | None = None
    ts: str | None = None


def read_episode(row: Mapping[str, Any] | sa.RowMapping) -> Episode:
    """Rebuild an episode from its row."""
    said = row["said"]
    affected = dict(said["affected"])
    affected["session"] = affected["session"] and date.fromisoformat(affected["session"])
    affected["mend_by"] = affected["mend_by"] and datetime.fromisoformat(affected["mend_by"])
    plain = {name: row[name] for name in Episode.__dataclass_fields__ if name in row}
    return Episode(
        **plain
        | {
            "severity": Severity(row["severity"]),
            "summary": said["summary"],
            "cause": said["cause"],
            "affected": Affected(**affected),
            "links": Links(**said["links"]),
            "parts": tuple(row["parts"]),
        }
    )


def find_open(connection: Connection, key: str) -> Episode | None:
    """Return the open episode of a key."""
    query = sa.select(EPISODES).where(EPISODES.c.key == key, EPISODES.c.status == OPEN)
    row = connection.execute(query).mappings().first()
    return read_episode(row) if row else None


def list_open(connection: Connection) -> list[Episode]:
    """Return all open episodes, oldest first."""
    query = sa.select(EPISODES).where(EPISODES.c.status == OPEN).order_by(EPISODES.c.opened_at)
    return [read_episode(row) for row in connection.execute(query).mappings()]


def list_recovered(connection: Connection, since: float) -> list[Episode]:
    """Return the episodes that have ended since then."""
    query = sa.select(EPISODES).where(EPISODES.c.status == RECOVERED, EPISODES.c.recovered_at >= since)
    return [read_episode(row) for row in connection.execute(query).mappings()]


def find_newest(connection: Connection, name: str) -> Episode | None:
    """Return an episode by its id, or the newest of a key."""
    query = sa.select(EPISODES).where((EPISODES.c.id == name) | (EPISODES.c.key == name))
    row = connection.execute(query.order_by(EPISODES.c.opened_at.desc())).mappings().first()
    return read_episode(row) if row else None


def open_episode(connection: Connection, incident: Incident | Notice, now: float) -> Episode:
    """Begin an episode, or keep a notice."""
    episode = draft_episode(incident, now)
    row = _as_row(episode)
    connection.execute(EPISODES.insert().values({name: row[name] for name in EPISODES.c.keys() if name in row}))  # noqa: SIM118
    return episode


def draft_episode(incident: Incident | Notice, now: float) -> Episode:
    """Make an episode that is not kept yet."""
    kind = find_kind(incident.kind)
    return Episode(
        id=uuid.uuid4().hex[:10],
        key=incident.key,
        kind=incident.kind,
        severity=incident.severity or kind.severity,
        status=NOTICE if isinstance(incident, Notice) else OPEN,
        summary=incident.summary,
        cause=incident.cause,
        affected=incident.affected,
        links=incident.links,
        parts=() if isinstance(incident, Notice) else incident.parts[:MOST_PARTS],
        count=1,
        opened_at=now,
        last_at=now,
    )


def join_episode(connection: Connection, episode: Episode, incident: Incident, now: float) -> Episode:
    """Count a report into its open episode: its parts join, the graver severity stays.

    Of one run the first words stand, with what they lack from later ones: a run is reported by each task that failed,
    then by itself, which knows less. Of another run the newest do, but none without a cause in place of one: where two
    runs fail at once, the report of the first run comes after that of the second one's task.
    """
    severity = find_gravest([episode.severity, incident.severity or episode.severity])
    parts = list(dict.fromkeys([*episode.parts, *incident.parts]))[:MOST_PARTS]
    changed = {
        "count": episode.count + 1,
        "last_at": now,
        "severity": severity.value,
        "parts": parts,
        "said": _merge(_describe(episode), _describe(incident)),
    }
    connection.execute(EPISODES.update().where(EPISODES.c.id == episode.id).values(changed))
    return read_episode(_as_row(episode) | changed)


def close_episode(connection: Connection, episode: Episode, now: float, note: str | None) -> Episode:
    """End an episode."""
    changed = {"status": RECOVERED, "recovered_at": now, "note": note}
    connection.execute(EPISODES.update().where(EPISODES.c.id == episode.id).values(changed))
    return read_episode(_as_row(episode) | changed)


def find_gravest(severities: Iterable[Severity]) -> Severity:
    """Return the worst of some severities."""
    return max(severities, key=_GRAVE.index)


def is_graver(episode: Episode, before: Episode) -> bool:
    """Whether an episode has become worse."""
    return _GRAVE.index(episode.severity) > _GRAVE.index(before.severity)


def _merge(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    if before["links"]["run"] != now["links"]["run"]:
        return now if now["cause"] or not before["cause"] else before
    filled = {name: before[name] or now[name] for name in ("summary", "cause")}
    for name in ("affected", "links"):
        filled[name] = {each: now[name][each] if value is None else value for each, value in before[name].items()}
    return filled


def _describe(incident: Incident | Notice | Episode) -> dict[str, Any]:
    affected = asdict(incident.affected)
    for name in ("session", "mend_by"):
        affected[name] = affected[name] and affected[name].isoformat()
    return {"summary": incident.summary, "cause": incident.cause, "affected": affected, "links": asdict(incident.links)}


def _as_row(episode: Episode) -> dict[str, Any]:
    row = {name: getattr(episode, name) for name in Episode.__dataclass_fields__}
    return row | {"said": _describe(episode), "parts": list(episode.parts)}
