"""A person's word over the gate's: a promotion by hand of a version that no gate has passed, as the ledger shows it.

A version carries in a tag what the gate said of it when it was trained.
"""

from __future__ import annotations

import json

from include.registry.api import Registered, open_registry
from include.registry.ledger import Line, read_ledger, select_model
from include.settings import Settings

GATE = "gate"
"""The tag, one of the words below."""
SERVES, PASSED, HELD_BACK, NAIVE, NOT_JUDGED = "serves", "passed", "held back", "naive", "not judged"


def describe_override(version: Registered | None) -> str | None:
    """Return what the ledger keeps of a promotion by hand, as JSON; None where the gate had passed the version."""
    word = version.tags.get(GATE, NOT_JUDGED) if version else NOT_JUDGED
    return None if word in (SERVES, PASSED) else json.dumps({"override": True, "gate": word})


def describe_rollback(settings: Settings, to: int | None) -> str | None:
    """Return what the ledger keeps of a rollback by hand to a version that never served: it is a promotion, so named.

    Raises
    ------
    UnavailableError
        The registry does not answer.
    """
    served = {line.to_version for line in select_model(settings, read_ledger(settings))}
    if to is None or to in served:
        return None
    return describe_override(open_registry(settings).look().versions.get(to))


def is_override(line: Line) -> bool:
    """Whether a line puts a version into Production by a person's word that no gate had passed."""
    try:
        said = json.loads(line.detail or "null")
    except ValueError:
        return False
    return line.action in ("promote", "rollback") and isinstance(said, dict) and bool(said.get("override"))
