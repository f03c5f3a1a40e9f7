"""The registry that the settings name: a server over REST, or the local store."""

from __future__ import annotations

from include.registry.api import Registry, RestRegistry
from include.registry.local import LocalRegistry
from include.settings import Settings


def open_registry(settings: Settings) -> Registry:
    """Return the registry that the settings name."""
    if settings.tracking_uri.startswith("http"):
        return RestRegistry(settings)
    return LocalRegistry(settings)
