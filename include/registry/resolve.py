"""Which version serves, whatever the state of the registry: every scoring run asks once, and gets one number.

The version is the registry's, reconciled with the ledger. Where the registry does not answer, what served last does,
from the cache, verified by its hash; where a move cannot be followed, the last good version. The version's note says
so, and an incident tells of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from include.errors import UnavailableError
from include.files import write_atomically
from include.registry.artifact import ModelVersion, recall_serving
from include.registry.change import fetch_registered
from include.registry.open import open_registry
from include.registry.reconcile import Outcome, find_serving
from include.settings import Settings


def resolve_version(settings: Settings, version: int | None = None) -> ModelVersion:
    """Find a version, the one that serves by default, and make sure that its graph is here.

    Raises
    ------
    NotFoundError
        No such model or version, or none is in Production.
    UnavailableError
        The registry does not answer, and nothing that served is in the cache.
    """
    if version is not None:
        return fetch_registered(settings, open_registry(settings).look(), version)
    try:
        outcome = find_serving(settings)
    except UnavailableError as error:
        return _recall(settings, error)
    _tell_fault(settings, outcome)
    return replace(outcome.serving, note=f"{outcome.fault}: the last good version serves" if outcome.fault else None)


def _recall(settings: Settings, error: UnavailableError) -> ModelVersion:
    cached = recall_serving(settings)
    if cached is None:
        raise error
    return replace(cached, note=f"the registry is down, version {cached.version} served last and is cached: {error}")


def _tell_fault(settings: Settings, outcome: Outcome) -> None:
    """Report a fault that the run before did not have, and the end of one that it had."""
    told = _told_file(settings)
    serving, model = outcome.serving, settings.model_name
    said = f"{outcome.fault}: version {serving.version} serves" if outcome.fault else ""
    before = told.read_text() if told.is_file() else ""
    if said == before:
        return
    from include.alerts.incidents import Incident
    from include.alerts.report import report_incident, report_recovery

    kind = "artifact_damaged" if "cannot serve" in outcome.fault else "registry_fault"
    for ended in {"artifact_damaged", "registry_fault"} - ({kind} if said else set()):
        report_recovery(settings, f"{ended}/{model}", note=f"Version {serving.version} ({serving.kind}) serves.")
    if not said:
        told.unlink()
        return
    summary = f"{model}: the last good version serves, {serving.version} ({serving.kind})"
    report_incident(settings, Incident(f"{kind}/{model}", kind, summary, outcome.fault))
    write_atomically(told, said)


def _told_file(settings: Settings) -> Path:
    return settings.model_cache / settings.model_name / "told.txt"
