"""What needs MLflow's client: log and register a version, list, promote, roll back, fetch an artifact.

Stage and alias move together: Production and `champion`. Every change is appended to the table `promotions`, because
the registry itself keeps no history of either.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from include.errors import NotFoundError, UnavailableError
from include.lake.tables import PROMOTIONS, append_rows, read_all
from include.registry.resolve import PRODUCTION, ModelVersion, hash_file
from include.settings import Settings

if TYPE_CHECKING:
    import mlflow
    from mlflow.tracking import MlflowClient

Example = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

EXPERIMENT = "closecast"
CHAMPION = "champion"
GRAPH = "model.onnx"


@dataclass(frozen=True)
class RegistryRow:
    """A version as `models list` shows it; metrics are those logged when it was trained."""

    version: int
    kind: str
    stage: str
    aliases: list[str]
    created_at: datetime
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


def prepare_store(settings: Settings) -> None:
    """Make or migrate the local store's database, one process at a time: two at once leave it half made."""
    if settings.tracking_uri.startswith("http"):
        return
    (settings.mlflow_home / "artifacts").mkdir(parents=True, exist_ok=True)
    marker = settings.mlflow_home / "prepared-by"
    installed = version("mlflow")
    with FileLock(settings.mlflow_home / ".prepare.lock"):
        if marker.exists() and marker.read_text() == installed:
            return
        from mlflow.tracking import MlflowClient

        MlflowClient(settings.tracking_uri).search_experiments(max_results=1)
        marker.write_text(installed)


def _create_experiment(client: MlflowClient, settings: Settings) -> None:
    local = not settings.tracking_uri.startswith("http")
    client.create_experiment(
        EXPERIMENT, artifact_location=(settings.mlflow_home / "artifacts").as_uri() if local else None
    )


def register_graph(
    settings: Settings, run: mlflow.ActiveRun, graph: Path, *, example: Example, tags: dict[str, str]
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
        Raw windows float32 (n, lookback, 6) and what the graph makes of them, float32 (n, 2).
    tags
        The version's tags: kind and lookback, which `resolve` needs to score, and what led to it.

    Returns
    -------
    int
        The version's number.
    """
    import mlflow
    import onnx

    windows, log_returns = example
    info = mlflow.onnx.log_model(
        onnx.load(str(graph)),
        name="model",
        signature=mlflow.models.infer_signature({"window": windows}, {"log_return": log_returns}),
        input_example={"window": windows},
        pip_requirements=["onnxruntime", "numpy"],  # inferring them takes 17 s
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    client = connect(settings)
    if not _is_registered(client, settings.model_name):
        client.create_registered_model(settings.model_name, description="Next open and close of every symbol.")
    stored = Path(mlflow.artifacts.download_artifacts(info.model_uri)) / GRAPH
    made = client.create_model_version(
        settings.model_name,
        source=info.model_uri,
        run_id=run.info.run_id,
        model_id=info.model_id,
        tags={"onnx_sha256": hash_file(stored), **tags},
    )
    return int(made.version)


def _is_registered(client: MlflowClient, name: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        return False
    return True


def list_versions(settings: Settings) -> list[RegistryRow]:
    """Return all versions, newest first."""
    client = connect(settings)
    with quiet_stages():
        rows = client.search_model_versions(f"name = '{settings.model_name}'")
        aliases = client.get_registered_model(settings.model_name).aliases if rows else {}
        return sorted((_read_row(client, row, aliases) for row in rows), key=lambda row: -row.version)


def _read_row(client: MlflowClient, row: Any, aliases: dict[str, str]) -> RegistryRow:
    metrics = client.get_run(row.run_id).data.metrics if row.run_id else {}
    return RegistryRow(
        version=int(row.version),
        kind=row.tags.get("kind", "?"),
        stage=row.current_stage,
        aliases=sorted(alias for alias, version in aliases.items() if int(version) == int(row.version)),
        created_at=datetime.fromtimestamp(row.creation_timestamp / 1000, UTC),
        run_id=row.run_id or "",
        metrics=dict(metrics),
        tags=dict(row.tags),
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
        raise NotFoundError(f"model {settings.model_name} must have this version", value=version, place="registry")
    return found[0]


def promote_version(settings: Settings, version: int, *, who: str, why: str, action: str = "promote") -> int | None:
    """Put a version into Production, alone, move the alias with it, and write it down.

    Returns
    -------
    int or None
        The version that was in Production before.
    """
    show_version(settings, version)
    client = connect(settings)
    before = production_version(settings)
    with quiet_stages():
        # Without archiving, two versions would share the stage and the higher number would serve.
        client.transition_model_version_stage(
            settings.model_name, str(version), PRODUCTION, archive_existing_versions=True
        )
    client.set_registered_model_alias(settings.model_name, CHAMPION, str(version))
    row = {
        "at": datetime.now(UTC),
        "model_name": settings.model_name,
        "from_version": before,
        "to_version": version,
        "action": action,
        "who": who,
        "why": why,
    }
    append_rows(settings.lake, PROMOTIONS, pa.Table.from_pylist([row], schema=PROMOTIONS.schema))
    return before


def production_version(settings: Settings) -> int | None:
    """Return the version in Production, or None."""
    client = connect(settings)
    if not _is_registered(client, settings.model_name):
        return None
    with quiet_stages():
        rows = client.get_latest_versions(settings.model_name, stages=[PRODUCTION])
    return max((int(row.version) for row in rows), default=None)


def rollback_version(settings: Settings, *, to: int | None, who: str, why: str) -> tuple[int | None, int]:
    """Put an earlier version back into Production, the one before the newest promotion by default.

    Returns
    -------
    tuple
        The version that served and the one that serves now.

    Raises
    ------
    NotFoundError
        There is no earlier version to go back to.
    """
    target = to if to is not None else _previous_version(settings)
    before = promote_version(settings, target, who=who, why=why, action="rollback")
    return before, target


def _previous_version(settings: Settings) -> int:
    """Return what served before the version that serves, by the promotions."""
    serving = production_version(settings)
    changes = read_all(settings.lake, PROMOTIONS).filter(pc.field("model_name") == settings.model_name).sort_by("at")
    registered = {row.version for row in list_versions(settings)}
    served: list[int] = []
    for row in changes.to_pylist():
        if row["action"] == "rollback" and row["to_version"] in served:
            del served[served.index(row["to_version"]) :]  # what came after it was taken back
        served.append(row["to_version"])
    earlier = [version for version in served if version != serving and version in registered]
    if not earlier:
        rule = "a version must have served before the one in Production"
        raise NotFoundError(rule, value=serving, place="promotions")
    return earlier[-1]


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


def ask_local_store(settings: Settings, path: str, query: dict[str, Any]) -> dict[str, Any]:
    """Answer the two questions of `resolve` from the local store, in the shape of the REST interface."""
    from mlflow.exceptions import MlflowException

    client = connect(settings)
    with quiet_stages():
        try:
            if path == "model-versions/get":
                return {"model_version": _as_rest(client.get_model_version(query["name"], query["version"]))}
            rows = client.get_latest_versions(query["name"], stages=query["stages"])
        except MlflowException as error:
            raise NotFoundError(f"model {query['name']} must be registered, with this version", value=query) from error
    return {"model_versions": [_as_rest(row) for row in rows]}


def _as_rest(row: Any) -> dict[str, Any]:
    return {"version": row.version, "tags": [{"key": key, "value": value} for key, value in row.tags.items()]}
