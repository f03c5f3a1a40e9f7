"""Which version serves, whatever the state of the registry: every scoring run asks once, and gets one number.

The version is the registry's, reconciled with the ledger. Where the registry does not answer, what served last does,
from the cache, verified by its hash; where a move cannot be followed, the last good version. The version's note says
so, and an alert tells each such state once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from include.errors import UnavailableError
from include.files import write_atomically
from include.registry.api import open_registry
from include.registry.artifact import ModelVersion, recall_serving
from include.registry.change import fetch_registered
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
    """Send an alert for a fault that the run before did not have."""
    told = _told_file(settings)
    if not outcome.fault:
        told.unlink(missing_ok=True)
        return
    said = f"{outcome.fault}: version {outcome.serving.version} serves"
    if told.is_file() and told.read_text() == said:
        return
    write_atomically(told, said)
    from include.alerts.send import send_message
    from include.registry.alert import build_fault_message

    webhook = settings.slack_webhook_url
    send_message(build_fault_message(outcome), webhook.get_secret_value() if webhook else None)


def _told_file(settings: Settings) -> Path:
    return settings.model_cache / settings.model_name / "told.txt"
