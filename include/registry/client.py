"""MLflow's client, ready for a home: quiet, past no proxy to this machine, its local store made or migrated."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from include.disk import explain_disk
from include.errors import UnavailableError
from include.registry.api import find_login, is_loopback
from include.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "closecast"


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
