"""Who moved a stage or an alias on MLflow's pages, as the server with users of its own writes it down.

MLflow keeps no record of it. Our server knows each request's user, and writes the newest move of either kind into a tag
of the registered model, which every home that shares the registry reads with the rest (`include.system.mlflow_hook`
writes it, and lets no request write it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from include.registry.ledger import Line

STAGE, ALIAS, DELETE = "stage", "alias", "delete"
RESERVED = "closecast.moved."
"""How the tags begin that only the server may write."""


@dataclass(frozen=True)
class Move:
    """One move that the server carried out.

    Attributes
    ----------
    kind
        stage: into Production; alias: the champion; delete: out of the registry.
    version
        Which was moved.
    who
        MLflow's user.
    at
        By the server's clock, with its zone.
    """

    kind: str
    version: int
    who: str
    at: datetime


def note_move(kind: str, version: int, who: str) -> tuple[str, str]:
    """Return the tag, key and value, that says who has just moved what."""
    move = Move(kind, version, who, datetime.now(UTC))
    return RESERVED + kind, json.dumps(asdict(move), default=str)


def read_moves(tags: Mapping[str, str]) -> list[Move]:
    """Return the newest move of each kind; what cannot be read was not written by us and counts as unknown."""
    found = (_read_move(tags.get(RESERVED + kind, "")) for kind in (STAGE, ALIAS, DELETE))
    return [move for move in found if move is not None]


def _read_move(text: str) -> Move | None:
    try:
        said = json.loads(text)
        at = datetime.fromisoformat(said["at"])
        return Move(str(said["kind"]), int(said["version"]), str(said["who"]), at.astimezone(UTC))
    except (ValueError, TypeError, KeyError):
        return None


def select_moves(moves: Iterable[Move], lines: Iterable[Line], *, kinds: Iterable[str], version: int) -> list[Move]:
    """Keep the moves that explain why a version is named now: those of these kinds that no line has told yet.

    A tag outlives its move: once a line that names the version has followed, it says nothing of a later move, made past
    the server.
    """
    told = [max(line.at, line.moved_at or line.at) for line in lines if line.to_version == version]
    return [
        move
        for move in moves
        if move.kind in kinds and move.version == version and not any(at >= move.at for at in told)
    ]


def name_movers(moves: Iterable[Move]) -> str:
    """Return who made some moves, each person once."""
    return ", ".join(dict.fromkeys(move.who for move in moves))
