"""Artifacts of versions, fetched from the registry's store by MLflow's client."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from include.errors import NotFoundError
from include.registry.client import connect
from include.settings import Settings

GRAPH = "model.onnx"


def download_graph(settings: Settings, name: str, version: int, target: Path) -> None:
    """Fetch a version's graph from the registry's artifact store to a path of the cache, atomically."""
    connect(settings)
    _download(f"models:/{name}/{version}/{GRAPH}", target)


def download_from_run(settings: Settings, name: str, version: int, *, artifact: str, target: Path) -> None:
    """Fetch an artifact of the run that led to a version to a path of the cache, atomically."""
    run_id = connect(settings).get_model_version(name, str(version)).run_id
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
