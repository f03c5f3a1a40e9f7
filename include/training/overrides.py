"""A person's word over the gate's: a promotion by hand of a version that no gate has passed, as the ledger shows it.

What a gate said is known by the hash of the graph it judged, from the ledger and from the records of the newest
retrains. A version carries the word in a tag as well, for whoever reads MLflow's pages: whoever may write to the
registry can set that, so nothing here trusts it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from include.registry.api import Registered
from include.registry.ledger import Line, read_ledger, select_model
from include.registry.open import open_registry
from include.settings import Settings
from include.training.done import is_done

GATE, JUDGEMENT = "gate", "verdict.json"
"""The tag, one of the words below, and the step's name; its record."""
SERVES, PASSED, HELD_BACK, NAIVE, NOT_JUDGED = "serves", "passed", "held back", "naive", "not judged"


@dataclass(frozen=True)
class Word:
    """What the newest gate said of a graph.

    Attributes
    ----------
    gate
        One of the words above.
    clean_from
        First session that it was not fitted on.
    """

    gate: str
    clean_from: date


def read_words(settings: Settings) -> dict[str, Word]:
    """Read what gates have said of graphs, by the graph's SHA-256; of each the newest word."""
    folders = sorted(settings.training.glob(f"*/{GATE}"), key=lambda path: path.stat().st_mtime_ns)
    records = [(folder / JUDGEMENT).read_text() for folder in folders if is_done(folder)]
    lines = select_model(settings, read_ledger(settings))
    said = [*records, *(line.detail for line in lines if line.detail)]
    return {graph: word for text in said for graph, word in _read_words(text).items()}


def _read_words(text: str) -> dict[str, Word]:
    """Read one judgement; nothing from a detail that is none, or is of a release that named no graphs."""
    try:
        said = json.loads(text)
        clean_from = date.fromisoformat(said["holdout_from"])
        return {graph: Word(str(said["gate"][kind]), clean_from) for kind, graph in said["graphs"].items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def describe_override(settings: Settings, version: Registered | None) -> str | None:
    """Return what the ledger keeps of a promotion by hand, as JSON; None where a gate had passed the graph."""
    found = read_words(settings).get(version.tags.get("onnx_sha256", "")) if version else None
    word = found.gate if found else NOT_JUDGED
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
    return describe_override(settings, open_registry(settings).look().versions.get(to))


def is_override(line: Line) -> bool:
    """Whether a line puts a version into Production by a person's word that no gate had passed."""
    try:
        said = json.loads(line.detail or "null")
    except ValueError:
        return False
    return line.action in ("promote", "rollback") and isinstance(said, dict) and bool(said.get("override"))
