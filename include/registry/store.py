"""What needs MLflow's client: log and register a version, list, fetch an artifact, ask the local store."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from include.disk import explain_disk
from include.errors import NotFoundError, UnavailableError
from include.registry.api import (
    CHAMPION,
    PRODUCTION,
    Registry,
    RegistryState,
    build_state,
    find_login,
    is_loopback,
    open_registry,
)
from include.registry.artifact import ModelVersion, hash_file
from include.registry.database import open_database, read_metrics, read_model, read_versions
from include.scoring.inputs import name_windows
from include.settings import Settings

if TYPE_CHECKING:
    import mlflow
    from mlflow.tracking import MlflowClient

Example = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.float32]]

EXPERIMENT = "closecast"
GRAPH = "model.onnx"
REQUEST = "request"
"""Tag of a version: which request registered it."""
FIT = "fit_sha256"
"""Tag of a version: the SHA-256 of the graph as it was fitted; MLflow writes it anew."""


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


@contextmanager
def quiet_stages() -> Iterator[None]:
    """Silence MLflow's notice that stages are deprecated: the rollback that operators know goes by stage."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*stage.*")
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*get_latest_versions.*")
        yield


def connect(settings: Settings) -> MlflowClient:
    """Return a client of the registry, and make sure that the experiment is there."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # which is the command's answer
    if settings.mlflow_username and (login := find_login(settings)):
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = login
    if is_loopback(settings.tracking_uri):
        _keep_off_proxy(settings.tracking_uri)
    prepare_store(settings)
    import mlflow
    from mlflow.tracking import MlflowClient

    mlflow.set_tracking_uri(settings.tracking_uri)
    mlflow.set_registry_uri(settings.tracking_uri)
    client = MlflowClient(settings.tracking_uri)
    try:
        if client.get_experiment_by_name(EXPERIMENT) is None:
            _create_experiment(client, settings)
    except mlflow.exceptions.MlflowException as error:
        raise UnavailableError("MLflow must answer", value=error.message[:200], place=settings.tracking_uri) from error
    return client


def _keep_off_proxy(url: str) -> None:
    """Let the client reach this machine itself: through the shell's proxy it would reach another one's loopback."""
    host = str(urlsplit(url).hostname)
    for name in ("NO_PROXY", "no_proxy"):
        kept = [each for each in os.environ.get(name, "").split(",") if each]
        if host not in kept:
            os.environ[name] = ",".join([*kept, host])


def prepare_store(settings: Settings) -> None:
    """Make or migrate the local store's database, one process at a time: two at once leave it half made."""
    if settings.tracking_uri.startswith("http"):
        return
    with explain_disk("MLflow's store", str(settings.mlflow_home)):
        (settings.mlflow_home / "artifacts").mkdir(parents=True, exist_ok=True)
    marker = settings.mlflow_home / "prepared-by"
    installed = metadata.version("mlflow")
    with FileLock(settings.mlflow_home / ".prepare.lock"):
        if marker.exists() and marker.read_text() == installed:
            return
        _make_store(settings)
        marker.write_text(installed)


def _make_store(settings: Settings) -> None:
    """Make or migrate the database; one that could not be made is removed, since MLflow cannot go on with half of it.

    Raises
    ------
    UnavailableError
        SQLite cannot write: the disk is full, or read only.
    """
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import OperationalError

    database = settings.mlflow_home / "mlflow.db"
    was_there = database.exists()
    try:
        MlflowClient(settings.tracking_uri).search_experiments(max_results=1)
    except OperationalError as error:
        if not was_there:
            database.unlink(missing_ok=True)
        rule = "MLflow's database must be writable, and there must be room for it"
        raise UnavailableError(rule, value=str(error.orig), place=str(database)) from error


def _create_experiment(client: MlflowClient, settings: Settings) -> None:
    local = not settings.tracking_uri.startswith("http")
    client.create_experiment(
        EXPERIMENT, artifact_location=(settings.mlflow_home / "artifacts").as_uri() if local else None
    )


def register_graph(
    settings: Settings,
    run: mlflow.ActiveRun,
    graph: Path,
    *,
    example: Example,
    tags: dict[str, str],
    others: Mapping[str, npt.NDArray[Any]] | None = None,
) -> int:
    """Log an ONNX graph with signature and input example to an open run, and register it.

    Parameters
    ----------
    settings
        The registered model's name.
    run
        The open MLflow run that led to the graph.
    graph
        The file.
    example
        Windows (n, lookback, 6 and the market-wide columns), in the precision that the graph takes, and what it makes
        of them, float32 (n, 2).
    tags
        The version's tags: kind and lookback, which `resolve` needs to score, and what led to it. With `request`,
        which a rerun has in common with a try that died behind this, and the same `fit_sha256`, the rerun finds that
        try's version.
    others
        What the example gives to further inputs of the graph, by name.

    Returns
    -------
    int
        The version's number.
    """
    if (made := find_registered(settings, tags.get(REQUEST), tags.get(FIT))) is not None:
        return made
    import mlflow
    import onnx

    windows, log_returns = example
    inputs = {**name_windows(windows), **(others or {})}
    info = mlflow.onnx.log_model(
        onnx.load(str(graph)),
        name="model",
        signature=mlflow.models.infer_signature(inputs, {"log_return": log_returns}),
        input_example=inputs,
        pip_requirements=["onnxruntime", "numpy"],  # inferring them takes 17 s
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    client = connect(settings)
    if not _is_registered(client, settings.model_name):
        client.create_registered_model(settings.model_name, description="Next open and close of every symbol.")
    stored = Path(mlflow.artifacts.download_artifacts(info.model_uri)) / GRAPH
    version = client.create_model_version(
        settings.model_name,
        source=info.model_uri,
        run_id=run.info.run_id,
        model_id=info.model_id,
        tags={"onnx_sha256": hash_file(stored), **tags},
    )
    return int(version.version)


def find_registered(settings: Settings, request: str | None, fit: str | None = None) -> int | None:
    """Return the version that a request has registered already, of this fit.

    MLflow makes a version and its tags in one commit.
    """
    if request is None:
        return None
    found = open_registry(settings).look().versions.values()
    said = (request, fit)
    return next((each.version for each in found if (each.tags.get(REQUEST), each.tags.get(FIT)) == said), None)


def remove_runs(settings: Settings, client: MlflowClient, request: str) -> None:
    """Remove the runs, and the graphs they logged, of tries that died before they had registered anything."""
    kept = {version.run_id for version in client.search_model_versions(f"name = '{settings.model_name}'")}
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None  # connect made sure of it
    for run in client.search_runs([experiment.experiment_id], f"tags.{REQUEST} = '{request}'"):
        if run.info.run_id in kept:  # a fit on an earlier snapshot of the same retrain
            continue
        for logged in client.get_run(run.info.run_id).outputs.model_outputs:
            client.delete_logged_model(logged.model_id)
        client.delete_run(run.info.run_id)


def _is_registered(client: MlflowClient, name: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        return False
    return True


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


def download_graph(settings: Settings, version: ModelVersion, target: Path) -> None:
    """Fetch a version's graph from the registry's artifact store to a path of the cache, atomically."""
    connect(settings)
    _download(f"models:/{version.name}/{version.version}/{GRAPH}", target)


def download_from_run(settings: Settings, version: ModelVersion, artifact: str, target: Path) -> None:
    """Fetch an artifact of the run that led to a version to a path of the cache, atomically."""
    run_id = connect(settings).get_model_version(version.name, str(version.version)).run_id
    _download(f"runs:/{run_id}/{artifact}", target)


def _download(uri: str, target: Path) -> None:
    import mlflow

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        try:
            found = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise NotFoundError(
                "a version's artifact must be in the registry's store", value=str(error)[:200], place=uri
            ) from error
        shutil.move(found, target)


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
