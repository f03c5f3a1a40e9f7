"""The versions of the registered model as people look at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.errors import NotFoundError
from include.registry.api import Registry, RegistryState
from include.registry.open import open_registry
from include.settings import Settings


@dataclass(frozen=True)
class RegistryRow:
    """A version as `models list` shows it; metrics are those logged when it was trained."""

    version: int
    kind: str
    stage: str
    aliases: list[str]
    created_at: datetime | None
    run_id: str
    metrics: dict[str, float]
    tags: dict[str, str]


def list_versions(settings: Settings) -> list[RegistryRow]:
    """Return all versions, newest first."""
    registry = open_registry(settings)
    state = registry.look()
    return [_describe(registry, state, version) for version in sorted(state.versions, reverse=True)]


def _describe(registry: Registry, state: RegistryState, version: int) -> RegistryRow:
    found = state.versions[version]
    return RegistryRow(
        version=version,
        kind=found.tags.get("kind", "?"),
        stage=found.stage,
        aliases=sorted(alias for alias, named in state.aliases.items() if named == version),
        created_at=found.created_at,
        run_id=found.run_id,
        metrics=registry.read_metrics(found.run_id) if found.run_id else {},
        tags=dict(found.tags),
    )


def show_version(settings: Settings, version: int) -> RegistryRow:
    """Return one version.

    Raises
    ------
    NotFoundError
        It is not registered.
    """
    found = [row for row in list_versions(settings) if row.version == version]
    if not found:
        rule = f"model {settings.model_name} must have this version (closecast models list)"
        raise NotFoundError(rule, value=version, place="registry")
    return found[0]
