"""A graph becomes a registered version, once for each request whatever dies in between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from include.registry.artifact import hash_file
from include.registry.client import EXPERIMENT, connect
from include.registry.download import GRAPH
from include.registry.open import open_registry
from include.scoring.inputs import name_windows
from include.settings import Settings

if TYPE_CHECKING:
    import mlflow
    from mlflow.tracking import MlflowClient

Example = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.float32]]

REQUEST = "request"
"""Tag of a version: which request registered it."""
FIT = "fit_sha256"
"""Tag of a version: the SHA-256 of the graph as it was fitted; MLflow writes it anew."""


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
