"""What a check gives: incidents that hold now, and keys of open ones whose cause is gone.

A check is a pure function of facts. It is told which incidents are open, and heals what it has looked at and found
well: what it could not look at it leaves as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from include.alerts.incidents import Incident


@dataclass(frozen=True)
class Sighting:
    """An incident that holds now; `looks` is how many of the newest looks must have seen it before it is told."""

    incident: Incident
    looks: int = 1


@dataclass(frozen=True)
class Findings:
    """What one look gives."""

    sightings: tuple[Sighting, ...] = ()
    healed: frozenset[str] = frozenset()

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.sightings + other.sightings, self.healed | other.healed)


def judge_kinds(kinds: Collection[str], sightings: Iterable[Sighting], open_keys: Collection[str]) -> Findings:
    """Give the sightings of some kinds, and heal every open key of these kinds that is not among them.

    Examples
    --------
    >>> sorted(judge_kinds({"dag_paused"}, [], {"dag_paused/market_close", "disk_full/home"}).healed)
    ['dag_paused/market_close']
    """
    found = tuple(sightings)
    seen = {each.incident.key for each in found}
    healed = {key for key in open_keys if key.partition("/")[0] in kinds and key not in seen}
    return Findings(found, frozenset(healed))


Check = Callable[[], Findings]
"""Reads a fact and judges it."""


def run_checks(checks: Mapping[str, Check]) -> tuple[Findings, dict[str, str]]:
    """Run each check; give what all found, and by name why one could not: it hides no other."""
    found, unread = Findings(), {}
    for name, check in checks.items():
        try:
            found += check()
        except Exception as error:  # noqa: BLE001  whatever it is, the other checks must be heard
            unread[name] = f"{type(error).__name__}: {error}"
    return found, unread
