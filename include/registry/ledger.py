"""The promotion ledger: which version served from when on, append-only, each line chained to the one before by hash.

The registry keeps no history of a stage or an alias, so this table is it, and its newest line is also what was last
reconciled: where stage or alias say otherwise, somebody has moved them since. A line that was changed, left out or
put elsewhere breaks the chain; lines cut off at the end are missed by whoever wrote the newest hash down elsewhere
(`include.registry.change` does, into the registry).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa

from include.disk import explain_disk
from include.errors import NotFoundError
from include.lake.chain import GENESIS, find_chain_faults, hash_row
from include.lake.compact import compact_small
from include.lake.reads import read_all
from include.lake.tables import PROMOTIONS, append_rows
from include.settings import Settings

ANCHOR = "closecast.ledger."
"""How the tags begin that hold the newest line of a home's ledger."""


@dataclass(frozen=True)
class Line:
    """One line: from `at` on, `to_version` served in place of `from_version`.

    Attributes
    ----------
    sequence
        1, 2, 3, ... over all models of the home.
    from_version, to_version
        None where nothing served; equal where a line records a decision that changed nothing.
    action
        promote, rollback; stage, alias, both: moved in the registry by somebody; adopt: found there when the ledger
        began; fallback: the version that served was deleted or damaged; keep: a challenger was turned down.
    who, why
        As far as known.
    moved_at
        When stage or alias was moved, by the registry; None where it does not say.
    detail
        JSON text: numbers of a verdict, versions that were passed over.
    request
        Which request made it: the same one again adds no second line.
    graph_sha256
        Of the graph of `to_version`: a registry that was lost and made anew gives the same numbers to other graphs.
        None in a line of an earlier release.
    """

    sequence: int
    at: datetime
    model_name: str
    from_version: int | None
    to_version: int | None
    action: str
    who: str
    why: str
    moved_at: datetime | None
    detail: str | None
    request: str
    previous_hash: str
    hash: str = ""
    graph_sha256: str | None = None

    def sealed(self) -> Line:
        """Return the line with its hash."""
        return replace(self, hash=hash_line(self))


def hash_line(line: Line) -> str:
    """Return the SHA-256 of a line's own words and the hash before it, as hexadecimal text."""
    return _hash(asdict(line))


# An earlier release hashed its lines without the graph's.
_hash = partial(hash_row, optional=("graph_sha256",))


def read_ledger(settings: Settings) -> list[Line]:
    """Return all lines in their order; none where nothing was promoted yet."""
    lines = [Line(**row) for row in read_all(settings.lake, PROMOTIONS).to_pylist()]
    return sorted(lines, key=lambda line: line.sequence)


def select_model(settings: Settings, lines: Sequence[Line]) -> list[Line]:
    """Keep the lines of the registered model that the settings name."""
    return [line for line in lines if line.model_name == settings.model_name]


def append_line(settings: Settings, lines: Sequence[Line], said: Mapping[str, Any]) -> Line:
    """Append a line to the ledger; call it under the lock of `include.registry.change`.

    Parameters
    ----------
    settings
        Whose ledger.
    lines
        The whole ledger as it is.
    said
        from_version, to_version, action, who, why, moved_at, detail, request, graph_sha256.

    Raises
    ------
    UnavailableError
        No room is left on the disk.
    InputError
        There is no right to write.
    """
    now = datetime.now(UTC)
    newest = lines[-1] if lines else None
    line = Line(
        sequence=newest.sequence + 1 if newest else 1,
        at=max(now, newest.at) if newest else now,  # a clock set back does not put a line before the one before it
        model_name=settings.model_name,
        previous_hash=newest.hash if newest else GENESIS,
        **said,
    ).sealed()
    with explain_disk("the promotion ledger", PROMOTIONS.path(settings.lake)):
        append_rows(settings.lake, PROMOTIONS, pa.Table.from_pylist([asdict(line)], schema=PROMOTIONS.schema))
        compact_small(settings.lake, PROMOTIONS)
    return line


def serving_line(lines: Sequence[Line], at: datetime | None = None) -> Line | None:
    """Return the line by which a version served at a moment, by default now; None before the first."""
    earlier = [line for line in lines if at is None or line.at <= at]
    return earlier[-1] if earlier else None


def find_graph(lines: Sequence[Line], version: int | None) -> str | None:
    """Return the SHA-256 of the graph that a version was promoted with last; None where no line holds it."""
    known = (line.graph_sha256 for line in reversed(lines) if line.to_version == version and line.graph_sha256)
    return next(known, None)


def list_served(lines: Sequence[Line]) -> list[int]:
    """Return the versions that a rollback may go back to, the newest last, what serves now as the last of all.

    A rollback takes back what came after the version it goes to, so a second one goes further back, not forth.
    """
    served: list[int] = []
    for line in lines:
        if line.to_version is None or (served and served[-1] == line.to_version):
            continue
        if line.action in ("rollback", "fallback") and line.to_version in served:
            del served[len(served) - 1 - served[::-1].index(line.to_version) :]
        served.append(line.to_version)
    return served


def find_faults(lines: Sequence[Line]) -> list[str]:
    """Say where a ledger is not as it was written, in a sentence each; none where it is whole."""
    return find_chain_faults([asdict(line) for line in lines], noun="line", hash_of=_hash)


def find_anchor_faults(lines: Sequence[Line], anchor: str | None) -> list[str]:
    """Hold a ledger against the newest line as it was written down elsewhere, "SEQUENCE HASH"; see `find_faults`."""
    if not lines:
        return []
    if anchor is None:
        return ["the registry must know the newest line of this ledger, and knows none of it"]
    sequence, _, expected = anchor.partition(" ")
    found = {str(line.sequence): line.hash for line in lines}
    if sequence not in found:
        return [f"line {sequence}, which the registry knows, is missing"]
    return [] if found[sequence] == expected else [f"line {sequence} is another than the registry knows"]


def name_anchor(lines: Sequence[Line]) -> str:
    """Return the tag of the registered model that holds the newest line: several homes may share a registry."""
    if not lines:
        raise NotFoundError("the ledger must have a line", place=PROMOTIONS.name)
    return f"{ANCHOR}{lines[0].hash[:12]}"
