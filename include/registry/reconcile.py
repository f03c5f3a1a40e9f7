"""Bring registry and ledger into step, and find which version serves: what every scoring run begins with.

A move that a person made in the registry is followed and written down. One that cannot be followed is never undone:
the last good version serves on, and whoever asked is told why.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from include.errors import NotFoundError
from include.registry.api import Registered, Registry, RegistryState
from include.registry.artifact import ModelVersion, recall_serving, remember_serving
from include.registry.change import (
    Change,
    fetch_registered,
    finish_pending,
    has_pending,
    lock_registry,
    make_change,
    move_both,
)
from include.registry.decide import GONE, REFUSED, SETTLED, Decision, decide
from include.registry.ledger import Line, find_graph, list_served, read_ledger, select_model, serving_line
from include.registry.moves import ALIAS, DELETE, STAGE, Move, name_movers, read_moves, select_moves
from include.registry.open import open_registry
from include.settings import Settings

SOMEBODY = "unknown, in MLflow"
"""Moved past our server, or in one that has no users: the registry says of neither stage nor alias who moved it."""

KINDS = {"stage": (STAGE,), "alias": (ALIAS,), "both": (STAGE, ALIAS), "adopt": (STAGE, ALIAS)}
"""Which moves explain a decision."""

OURSELVES = "closecast"


@dataclass(frozen=True)
class Outcome:
    """The ledger as it is now, the registry as it was found, what serves, and what could not be followed, if any."""

    lines: list[Line]
    state: RegistryState
    serving: ModelVersion
    fault: str = ""


def find_serving(settings: Settings) -> Outcome:
    """Find which version serves, following and writing down what was moved.

    Raises
    ------
    NotFoundError
        No version serves, and none ever did.
    UnavailableError
        The registry does not answer.
    """
    registry = open_registry(settings)
    if settled := _find_settled(settings, registry):
        return settled
    with lock_registry(settings):
        return reconcile(settings, registry)


def _find_settled(settings: Settings, registry: Registry) -> Outcome | None:
    """Answer without the lock where nothing was moved: a promotion that fetches a graph holds up no forecast."""
    state, lines, serving = registry.look(), read_ledger(settings), recall_serving(settings)
    last = newest_version(settings, lines)
    if serving is None or serving.version != last or has_pending(settings) or not is_in_step(state, last):
        return None
    known = {serving.onnx_sha256, promoted_graph(settings, lines, last) or serving.onnx_sha256}
    return Outcome(lines, state, serving) if known == {state.versions[last].tags.get("onnx_sha256")} else None


def newest_version(settings: Settings, lines: Sequence[Line]) -> int | None:
    """Return the version that serves by the ledger."""
    line = serving_line(select_model(settings, lines))
    return line.to_version if line else None


def promoted_graph(settings: Settings, lines: Sequence[Line], version: int | None) -> str | None:
    """Return the SHA-256 of the graph that a version was promoted with last; None where nobody knows.

    Where the ledger has none, being of an earlier release, it is that of what served last.
    """
    known, cached = find_graph(select_model(settings, lines), version), recall_serving(settings)
    return known or (cached.onnx_sha256 if cached and cached.version == version else None)


def is_in_step(state: RegistryState, version: int) -> bool:
    """Whether stage and alias both name a version, and nothing else."""
    return state.in_production == {version} and state.champion == version


def reconcile(settings: Settings, registry: Registry) -> Outcome:
    """Do the work of `find_serving`; call it under the lock."""
    lines = finish_pending(settings, registry, read_ledger(settings))
    state, last = registry.look(), newest_version(settings, lines)
    decision = decide(state, last)
    if decision.version is None and last is None:
        rule = f"a version of {settings.model_name} must be in Production: closecast train fits and promotes one"
        raise NotFoundError(rule, place="registry")
    fault = _explain_fault(lines, state, decision, last)
    if decision.version is not None:
        try:
            graph = promoted_graph(settings, lines, decision.version)
            serving = fetch_registered(settings, state, decision.version, graph=graph)
        except NotFoundError as error:
            fault = f"version {decision.version} cannot serve: {error}"
        else:
            lines = _follow(settings, registry, lines, state, decision, graph=serving.onnx_sha256)
            remember_serving(settings, serving)
            return Outcome(lines, state, serving, fault)
    return _fall_back(settings, registry, lines, state, replace(decision, why=fault))


def _explain_fault(lines: Sequence[Line], state: RegistryState, decision: Decision, last: int | None) -> str:
    """Say what cannot be followed, and who did it as far as known; nothing where all can."""
    if decision.action not in (REFUSED, GONE) or last is None:
        return ""
    moves = read_moves(state.tags)
    if decision.action == GONE:
        found = select_moves(moves, lines, kinds=(DELETE,), version=last)
    else:
        named = sorted(state.in_production | {state.champion or last})
        found = [each for v in named for each in select_moves(moves, lines, kinds=(STAGE, ALIAS), version=v)]
    return f"{decision.why} (by {name_movers(found)})" if found else decision.why


def _follow(
    settings: Settings, registry: Registry, lines: list[Line], state: RegistryState, decision: Decision, *, graph: str
) -> list[Line]:
    """Write a move down and let what was not moved follow it."""
    if decision.action == REFUSED or decision.version is None:
        return lines
    if decision.action == SETTLED:
        move_both(registry, state, decision.version)  # an alias that was taken away comes back
        return lines
    kinds = KINDS[decision.action]
    moves = select_moves(read_moves(state.tags), lines, kinds=kinds, version=decision.version)
    change = Change(
        newest_version(settings, lines),
        decision.version,
        decision.action,
        name_movers(moves) or SOMEBODY,
        decision.why,
        request=uuid.uuid4().hex,
        moved_at=_find_time(state.versions[decision.version], decision.action, moves),
        graph_sha256=graph,
    )
    return make_change(settings, registry, lines, change)


def _find_time(version: Registered, action: str, moves: Sequence[Move]) -> str | None:
    """Tell when a version was moved: by the server that saw it, else by the registry's own time of a stage."""
    if moves:
        return max(move.at for move in moves).isoformat()
    return version.moved_at.isoformat() if version.moved_at and action in ("stage", "both") else None


def _fall_back(
    settings: Settings, registry: Registry, lines: list[Line], state: RegistryState, decision: Decision
) -> Outcome:
    """Let the last good version serve; stage and alias stay where a person put them, unless they name nothing."""
    last, cached = newest_version(settings, lines), recall_serving(settings)
    if cached and decision.action != GONE and _is_promoted(settings, lines, cached):
        return Outcome(lines, state, cached, decision.why)
    serving, _ = find_good(settings, state, lines)
    if serving is None:
        if cached is None:
            raise NotFoundError("a version that served must still be whole", value=decision.why, place="registry")
        return Outcome(lines, state, cached, f"{decision.why}, and no other that served is left")
    if serving.version != last:
        change = Change(
            last,
            serving.version,
            "fallback",
            OURSELVES,
            decision.why,
            request=uuid.uuid4().hex,
            moves_registry=decision.action == GONE,
            graph_sha256=serving.onnx_sha256,
        )
        lines = make_change(settings, registry, lines, change)
    return Outcome(lines, state, serving, decision.why)


def _is_promoted(settings: Settings, lines: Sequence[Line], cached: ModelVersion) -> bool:
    """Whether what served last is, by its hash, what the ledger's newest line promoted."""
    last = newest_version(settings, lines)
    return cached.version == last and cached.onnx_sha256 == promoted_graph(settings, lines, last)


def find_good(
    settings: Settings, state: RegistryState, lines: Sequence[Line], *, but: int | None = None
) -> tuple[ModelVersion | None, dict[int, str]]:
    """Return the version that served last, but one, and is registered and whole; and why those after it are not."""
    mine, passed = select_model(settings, lines), dict[int, str]()
    for version in reversed(list_served(mine)):
        if version in passed or version == but:
            continue
        try:
            return fetch_registered(settings, state, version, graph=find_graph(mine, version)), passed
        except NotFoundError as error:
            passed[version] = str(error)
    return None, passed


def describe_passed(passed: dict[int, str]) -> str | None:
    """Write versions that were passed over as the detail of a line."""
    return json.dumps({"passed_over": {str(version): why for version, why in passed.items()}}) if passed else None
