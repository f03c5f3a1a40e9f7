"""Put a version into Production, go back to one that served before, or write down that nothing was to change."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import replace

from include.errors import NotFoundError
from include.registry.api import Registry
from include.registry.artifact import ModelVersion
from include.registry.change import Change, fetch_registered, finish_pending, lock_registry, make_change
from include.registry.ledger import Line, read_ledger, select_model
from include.registry.open import open_registry
from include.registry.reconcile import (
    describe_passed,
    find_good,
    is_in_step,
    newest_version,
    promoted_graph,
    reconcile,
)
from include.settings import Settings


def promote_version(
    settings: Settings,
    version: int,
    *,
    who: str,
    why: str,
    detail: str | None = None,
    request: str | None = None,
) -> int | None:
    """Put a version into Production, alone, move the alias with it, and write it down; effective for the next run.

    Parameters
    ----------
    settings
        The registered model, the home.
    version
        One that is registered and whole; where it serves already, nothing is written.
    who, why
        For the ledger.
    detail
        JSON text for the ledger, a verdict for one.
    request
        What a rerun of the same call has in common with it: the second one finds it done.

    Returns
    -------
    int or None
        The version that served before.

    Raises
    ------
    NotFoundError
        It is not registered, or its graph is not as it was registered.
    UnavailableError
        The registry does not answer.
    """
    registry = open_registry(settings)
    with lock_registry(settings):
        lines, _ = _catch_up(settings, registry)
        if done := _find_request(settings, lines, request):
            return done.from_version
        found = fetch_registered(settings, registry.look(), version)
        before = newest_version(settings, lines)
        if not _serves_already(settings, registry, lines, found):
            change = Change(before, version, "promote", who, why, request or uuid.uuid4().hex, detail=detail)
            make_change(settings, registry, lines, replace(change, graph_sha256=found.onnx_sha256))
    return before


def replace_version(
    settings: Settings,
    version: int,
    *,
    instead_of: Collection[int | None],
    graph: str | None,
    who: str,
    why: str,
    detail: str,
    request: str,
) -> str:
    """Put a judged version into Production unless a person has decided since: that stands, and nothing is written.

    Parameters
    ----------
    settings
        The registered model, the home.
    version
        One that is registered and whole.
    instead_of
        What may serve now.
    graph
        The SHA-256 of the graph that was judged; None where nobody knows.
    who, why, detail, request
        See `promote_version`.

    Returns
    -------
    str
        Why it does not serve; empty where it does.

    Raises
    ------
    NotFoundError
        It is not registered, or its graph is not as it was registered or judged.
    UnavailableError
        The registry does not answer.
    """
    registry = open_registry(settings)
    with lock_registry(settings):
        lines, fault = _catch_up(settings, registry)
        if done := _find_request(settings, lines, request):
            return "" if done.to_version == version else f"version {done.to_version} was kept"
        before = newest_version(settings, lines)
        if fault or before not in instead_of:
            return fault or f"version {before} serves by now"
        found = fetch_registered(settings, registry.look(), version, graph=graph)
        if not _serves_already(settings, registry, lines, found):
            change = Change(before, version, "promote", who, why, request, detail=detail)
            make_change(settings, registry, lines, replace(change, graph_sha256=found.onnx_sha256))
    return ""


def _serves_already(settings: Settings, registry: Registry, lines: list[Line], version: ModelVersion) -> bool:
    """Whether stage, alias and ledger all name a version, with this graph: nothing is to be written then."""
    last = newest_version(settings, lines)
    graph = promoted_graph(settings, lines, last) or version.onnx_sha256
    return (last, graph) == (version.version, version.onnx_sha256) and is_in_step(registry.look(), version.version)


def rollback_version(
    settings: Settings, *, to: int | None, who: str, why: str, detail: str | None = None, request: str | None = None
) -> tuple[int | None, int]:
    """Put an earlier version back into Production: by default the one that served before, if it is whole.

    Where `to` serves already nothing is written, and both numbers that come back are its own. `detail` is JSON text for
    the ledger; versions that are passed over take its place.

    Returns
    -------
    tuple
        The version that served and the one that serves now.

    Raises
    ------
    NotFoundError
        There is no earlier version to go back to, or not the one that was named.
    UnavailableError
        The registry does not answer.
    """
    registry = open_registry(settings)
    with lock_registry(settings):
        lines, _ = _catch_up(settings, registry)
        if (done := _find_request(settings, lines, request)) and done.to_version is not None:
            return done.from_version, done.to_version
        before = newest_version(settings, lines)
        target, passed = _find_target(settings, registry, lines, to)
        if _serves_already(settings, registry, lines, target):
            return before, target.version
        change = Change(
            before,
            target.version,
            "rollback",
            who,
            why,
            request or uuid.uuid4().hex,
            detail=describe_passed(passed) or detail,
            graph_sha256=target.onnx_sha256,
        )
        make_change(settings, registry, lines, change)
    return before, target.version


def keep_version(settings: Settings, *, who: str, why: str, detail: str | None, request: str) -> int | None:
    """Write down that a challenger was turned down: what serves stays.

    Returns
    -------
    int or None
        The version that serves on.
    """
    registry = open_registry(settings)
    with lock_registry(settings):
        lines, _ = _catch_up(settings, registry)
        serving = newest_version(settings, lines)
        if _find_request(settings, lines, request) is None:
            change = Change(serving, serving, "keep", who, why, request, detail=detail, moves_registry=False)
            change = replace(change, graph_sha256=promoted_graph(settings, lines, serving))
            make_change(settings, registry, lines, change)
    return serving


def _catch_up(settings: Settings, registry: Registry) -> tuple[list[Line], str]:
    """Write down what was moved in the registry before anything else is; a home may have nothing in Production yet.

    Returns
    -------
    tuple
        The ledger, and what cannot be followed; empty where all can.
    """
    try:
        outcome = reconcile(settings, registry)
    except NotFoundError:
        return finish_pending(settings, registry, read_ledger(settings)), ""
    return outcome.lines, outcome.fault


def _find_request(settings: Settings, lines: list[Line], request: str | None) -> Line | None:
    mine = [line for line in select_model(settings, lines) if line.request == request]
    return mine[-1] if mine else None


def _find_target(
    settings: Settings, registry: Registry, lines: list[Line], to: int | None
) -> tuple[ModelVersion, dict[int, str]]:
    state = registry.look()
    if to is not None:
        return fetch_registered(settings, state, to, graph=promoted_graph(settings, lines, to)), {}
    serving = newest_version(settings, lines)
    target, passed = find_good(settings, state, lines, but=serving)
    if target is None:
        rule = "a version must have served before the one in Production, and be whole"
        raise NotFoundError(rule, value=serving, place="promotions")
    return target, passed
