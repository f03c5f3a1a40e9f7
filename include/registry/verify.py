"""Whether the promotion ledger is as it was written: its chain, and its newest line as the registry knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.errors import UnavailableError
from include.registry.artifact import has_served
from include.registry.ledger import ANCHOR, Line, find_anchor_faults, find_faults, name_anchor, read_ledger
from include.registry.open import open_registry
from include.settings import Settings


@dataclass(frozen=True)
class LedgerCheck:
    """How many lines there are, what is wrong with them, and what could not be checked."""

    lines: int
    faults: list[str]
    note: str | None = None


def verify_ledger(settings: Settings) -> LedgerCheck:
    """Check every line of the home's ledger, and that none is missing at its end."""
    lines = read_ledger(settings)
    faults = find_faults(lines)
    try:
        tags = open_registry(settings).look().tags
    except UnavailableError as error:
        note = f"the newest line could not be held against the registry: {error}"
        return LedgerCheck(len(lines), faults + _find_loss(settings, lines, {}), note)
    if not lines:
        return LedgerCheck(0, _find_loss(settings, lines, tags))
    return LedgerCheck(len(lines), faults + find_anchor_faults(lines, tags.get(name_anchor(lines))))


def _find_loss(settings: Settings, lines: Sequence[Line], tags: Mapping[str, str]) -> list[str]:
    """Say that all lines are missing, where a version has served here or the home's own registry knows a line."""
    is_known = settings.mlflow_tracking_uri is None and any(key.startswith(ANCHOR) for key in tags)
    return ["every line is missing"] if not lines and (is_known or has_served(settings)) else []
