"""What people read on Slack, told apart: which incident a message is of, and whether it says that it is over.

Read from the messages that reached Slack, as a person would: each line of theirs ends with the incident's id. Only what
the id stands for is looked up where incidents are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from benchmarks.running import await_value
from include.alerts.episodes import Episode, find_newest
from include.alerts.kinds import find_kind
from include.alerts.store import open_store
from include.errors import UnavailableError
from include.settings import Settings
from tests.fakes import FakeSlack

_LINE = re.compile(r"\[(?P<id>[0-9a-f]{10})\]$")
_OVER = "Recovered: "
_DIGEST = re.compile(r"\d+ messages from ")


@dataclass(frozen=True)
class Told:
    """One line about one incident.

    Attributes
    ----------
    at
        When it reached Slack, seconds since 1970.
    incident, key
        The incident's id, and what it is of.
    is_over
        Whether it tells a recovery.
    text
        The line.
    """

    at: float
    incident: str
    key: str
    is_over: bool
    text: str


@dataclass(frozen=True)
class Ears:
    """Hears what a system says on its Slack."""

    slack: FakeSlack
    settings: Settings
    _known: dict[str, Episode] = field(default_factory=dict)

    def hear(self) -> list[Told]:
        """Give all that was told of incidents, in the order it came; notices of what is no failure are left out."""
        found = []
        for call in [each for each in self.slack.calls if each.status == 200]:
            for line in list_lines(call.body):
                if (named := _LINE.search(line)) and (episode := self._find(named["id"])):
                    found.append(Told(call.at, episode.id, episode.key, _OVER in line[:24], line))
        return [each for each in found if find_kind(self._known[each.incident].kind).heals]

    def _find(self, incident: str) -> Episode | None:
        """Look up an incident once; the store may be what does not answer just now."""
        if incident not in self._known:
            try:
                with open_store(self.settings) as connection:
                    episode = find_newest(connection, incident)
            except UnavailableError:
                return None
            if episode is not None:
                self._known[incident] = episode
        return self._known.get(incident)

    def await_told(self, key: str, *, since: float, is_over: bool = False, timeout_s: float = 240.0) -> Told | None:
        """Wait for word of an incident whose key begins so, or of its end; None where none comes in time."""

        def find() -> Told | None:
            words = (each for each in self.hear() if each.at > since and each.is_over == is_over)
            return next((each for each in words if each.key.startswith(key)), None)

        try:
            found: Told = await_value(find, timeout_s, f"word of {key}")
        except UnavailableError:
            return None
        return found


def list_lines(body: dict[str, Any]) -> list[str]:
    """Give the lines of a message: its own, or those that a digest gathers."""
    text = str(body.get("text", ""))
    if not _DIGEST.search(text):
        return [text]
    sections = [block["text"]["text"] for block in body["blocks"] if block["type"] == "section"]
    return [line for section in sections for line in section.splitlines()]
