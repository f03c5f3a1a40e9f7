"""The page of incidents: what is open and why nobody was told, what was, and whether Slack hears.

It is drawn anew at each look, from the store of incidents alone: no service is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from include.alerts.episodes import OPEN, RECOVERED, Episode
from include.alerts.kinds import recall_kind
from include.alerts.links import link_runbook, name_links
from include.alerts.messages import write_duration
from include.alerts.overview import Overview, describe_state, read_overview
from include.alerts.targets import list_targets
from include.alerts.text import flatten, shorten_cause
from include.alerts.trouble import describe_trouble
from include.errors import InputError
from include.quality.page import draw_page
from include.settings import Settings

MOST_ROWS = 200
_MOST_PARTS = 10
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Line:
    """An incident as the page shows it; texts are without secrets and control characters, and not yet escaped."""

    id: str
    severity: str
    key: str
    state: str
    summary: str
    cause: str
    parts: tuple[str, ...]
    since: str
    lasted: str
    count: int
    links: dict[str, str]


def draw_incidents(settings: Settings, now: float) -> str:
    """Draw the page of a home.

    Raises
    ------
    UnavailableError
        The database of incidents does not answer.
    """
    found = read_overview(settings, now, every=True, most=MOST_ROWS)
    opened = read_overview(settings, now, most=MOST_ROWS)
    return draw_page(
        "include.monitoring",
        "incidents_page.j2",
        filters={"moment": _write_moment},
        now=now,
        found=opened,
        slack=_describe_slack(settings, found),
        opened=[_describe(settings, each, opened, now) for each in opened.episodes],
        over=[_describe(settings, each, found, now) for each in found.episodes if each.status != OPEN],
    )


def _describe(settings: Settings, episode: Episode, found: Overview, now: float) -> Line:
    kind = recall_kind(episode.kind)
    runbook = link_runbook(kind, settings.docs_url) if episode.status == OPEN else None
    links = name_links(episode.links) | ({"What to do": runbook} if runbook else {})
    is_over = episode.status == RECOVERED
    ends = episode.recovered_at if is_over and episode.recovered_at else now
    cause = episode.note if is_over and episode.note else episode.cause and shorten_cause(episode.cause)
    return Line(
        id=episode.id,
        severity=episode.severity.value,
        key=episode.key,
        state=describe_state(episode, found.untold.get(episode.id, "")),
        summary=flatten(episode.summary, _MOST_CHARACTERS),
        cause=flatten(cause or kind.unsaid, _MOST_CHARACTERS),
        parts=tuple(flatten(each, 100) for each in episode.parts[:_MOST_PARTS]),
        since=_write_moment(episode.opened_at),
        lasted=write_duration(ends - episode.opened_at) if kind.heals else "",
        count=episode.count,
        links={name: url for name, url in links.items() if url.startswith(("https://", "http://"))},
    )


def _describe_slack(settings: Settings, found: Overview) -> tuple[bool, str]:
    """Say whether Slack hears, as far as that is known without asking it."""
    if faults := describe_trouble(found.trouble):
        return False, f"Slack takes no message by {faults}"
    try:
        targets = list_targets(settings)
    except InputError as error:
        return False, str(error)
    if not targets:
        return False, "Slack is not set: incidents are kept, and nobody is told"
    return True, f"Slack: {', '.join(each.name for each in targets)}, no trouble known"


def _write_moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
