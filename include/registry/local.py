"""The local store as a registry: read as it lies, changed by MLflow's client."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.errors import NotFoundError, UnavailableError
from include.registry.api import CHAMPION, PRODUCTION, RegistryState, build_state
from include.registry.client import connect, quiet_stages
from include.registry.database import open_database, read_metrics, read_model, read_versions
from include.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class LocalRegistry:
    """The local store, asked and told in process what `include.registry.api` asks and tells a server.

    Its database is read as it lies; MLflow's client is imported for what changes it, and to make or migrate it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._name = settings, settings.model_name

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._settings)

    def look(self) -> RegistryState:
        """Read the registered model."""
        try:
            with open_database(self._settings) as store:
                model = read_model(store, self._name)
                rows = read_versions(store, self._name)
        except sqlite3.Error:
            return self.look_by_client()
        return build_state(rows, model["aliases"], model["tags"]) if model else RegistryState({}, None, {})

    def read_metrics(self, run_id: str) -> dict[str, float]:
        """Read what a run measured."""
        try:
            with open_database(self._settings) as store:
                return read_metrics(store, run_id)
        except sqlite3.Error as error:
            raise UnavailableError("MLflow's store must be readable", value=str(error), place=run_id) from error

    def look_by_client(self) -> RegistryState:
        """Read the registered model by MLflow's client, which makes or migrates the store first."""
        from mlflow.exceptions import MlflowException

        with quiet_stages():
            try:
                model = self._client.get_registered_model(self._name)
            except MlflowException:
                return RegistryState({}, None, {})
            rows = self._client.search_model_versions(f"name = '{self._name}'")
            return build_state([_as_rest(row) for row in rows], model.aliases, model.tags)

    def put_in_production(self, version: int) -> None:
        """Move a version into Production, alone."""
        with quiet_stages(), _as_our_errors(self._name):
            self._client.transition_model_version_stage(
                self._name, str(version), PRODUCTION, archive_existing_versions=True
            )

    def name_champion(self, version: int) -> None:
        """Point the alias at a version."""
        with _as_our_errors(self._name):
            self._client.set_registered_model_alias(self._name, CHAMPION, str(version))

    def tag_model(self, key: str, value: str) -> None:
        """Set a tag of the registered model."""
        with _as_our_errors(self._name):
            self._client.set_registered_model_tag(self._name, key, value)


@contextmanager
def _as_our_errors(name: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        kind = NotFoundError if error.error_code == "RESOURCE_DOES_NOT_EXIST" else UnavailableError
        raise kind("the registry must take a change", value=error.message[:200], place=name) from error


def _as_rest(row: Any) -> dict[str, Any]:
    tags = [{"key": key, "value": value} for key, value in row.tags.items()]
    return {
        "version": row.version,
        "tags": tags,
        "current_stage": row.current_stage,
        "last_updated_timestamp": row.last_updated_timestamp,
        "creation_timestamp": row.creation_timestamp,
        "run_id": row.run_id,
    }
