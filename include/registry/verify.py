"""Whether the promotion ledger is as it was written: its chain, and its newest line as the registry knows it."""

from __future__ import annotations

from dataclasses import dataclass

from include.errors import UnavailableError
from include.registry.api import open_registry
from include.registry.ledger import find_anchor_faults, find_faults, name_anchor, read_ledger
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
    if not lines:
        return LedgerCheck(0, faults)
    try:
        anchor = open_registry(settings).look().tags.get(name_anchor(lines))
    except UnavailableError as error:
        return LedgerCheck(len(lines), faults, f"the newest line could not be held against the registry: {error}")
    return LedgerCheck(len(lines), faults + find_anchor_faults(lines, anchor))
