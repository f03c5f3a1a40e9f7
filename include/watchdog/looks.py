"""Keeps what flaps from being told: seen in enough of the newest looks, or well in enough of them on end.

One look is no news where a heartbeat can be late on a busy machine. What must be told at once asks for one look.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from include.alerts.incidents import Incident
from include.files import write_atomically
from include.settings import Settings
from include.watchdog.findings import Findings

REMEMBERED = 5
"""Looks that count, at most."""


@dataclass(frozen=True)
class News:
    """What is to be told now: incidents, and keys that have recovered."""

    incidents: tuple[Incident, ...]
    recovered: tuple[str, ...]


@dataclass
class Looks:
    """The newest looks at each key that is wrong, or lately was.

    Parameters
    ----------
    wells
        Looks on end that must have found a key well before its recovery is told, 1 to REMEMBERED.
    seen
        By key, oldest first: whether it was wrong. Kept between processes where there is one a look.
    """

    wells: int = 1
    seen: dict[str, list[bool]] = field(default_factory=dict)

    def known_keys(self, open_keys: Collection[str]) -> frozenset[str]:
        """Give the keys that a check must judge: those that are open, and those that were seen and not yet told."""
        return frozenset(open_keys) | frozenset(self.seen)

    def take(self, findings: Findings, open_keys: Collection[str]) -> News:
        """Take in a look; give what it makes due.

        A key that is neither sighted nor healed was not looked at: what is known of it stays.
        """
        for each in findings.sightings:
            self._note(each.incident.key, wrong=True)
        for key in findings.healed:
            self._note(key, wrong=False)
        due = [each.incident for each in findings.sightings if sum(self.seen[each.incident.key]) >= each.looks]
        recovered = [key for key in sorted(findings.healed) if key in open_keys and self._is_well(key)]
        for key in [key for key, looks in self.seen.items() if not any(looks) and (key not in open_keys)]:
            del self.seen[key]
        for key in recovered:
            self.seen.pop(key, None)
        return News(tuple(due), tuple(recovered))

    def _note(self, key: str, *, wrong: bool) -> None:
        self.seen[key] = [*self.seen.get(key, []), wrong][-REMEMBERED:]

    def _is_well(self, key: str) -> bool:
        newest = self.seen[key][-self.wells :]
        return len(newest) == self.wells and not any(newest)


def memory_file(settings: Settings) -> Path:
    """Tell where `watch_system` keeps its looks from run to run; the file is as old as its last look."""
    return settings.run_dir / "watch_system.json"


def recall_looks(settings: Settings) -> Looks:
    """Read what earlier runs have seen; nothing where the file makes no sense: the next looks will see it again."""
    try:
        found = json.loads(memory_file(settings).read_text())
        return Looks(seen={str(key): [bool(each) for each in looks] for key, looks in found.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return Looks()


def remember_looks(settings: Settings, looks: Looks) -> None:
    """Keep what was seen for the next run."""
    write_atomically(memory_file(settings), json.dumps(looks.seen))
