"""The step that puts fitted models into the registry, with everything that led to them, each in an MLflow run.

A version and its tags are made in one commit, the last of all, and one tag names the request: a try that follows one
that died finds the version, or removes the run that has none and begins anew. So nothing is half registered, and
nothing is registered twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backtest.residuals import RESIDUALS
from include.lake.tables import BARS
from include.provenance import code_version, describe_environment, environment_hash, is_dirty
from include.registry.artifact import hash_file
from include.registry.reference import REFERENCE
from include.registry.store import EXPERIMENT, REQUEST, connect, find_registered, register_graph
from include.scoring.graph import load_graph, run_graph
from include.settings import SHAPING, Settings
from include.training.fit import EVIDENCE, ORIGINAL, Fit, read_fits
from include.training.patience import ask_again, mlflow_answering
from include.training.record import Retrain, run_step, write_json
from include.training.refits import read_backtest

if TYPE_CHECKING:
    import mlflow
    from mlflow.tracking import MlflowClient

_REGISTER, _RECORD = "register", "version.json"


def register_fits(settings: Settings, retrain: Retrain, *, say: Callable[[str], None]) -> dict[str, int]:
    """Log and register every fitted model that is not registered yet; wait for MLflow where it is down.

    Parameters
    ----------
    settings
        Where MLflow is, and how long to wait for it.
    retrain
        All of its models must have been fitted.
    say
        Told what is registered, and of every wait.

    Returns
    -------
    dict
        Version by model, in the retrain's order.

    Raises
    ------
    UnavailableError
        MLflow has not answered for long; what was registered by then stays, and is found by the next try.
    """
    versions = {}
    for fit in read_fits(retrain):
        work = partial(_register, settings, retrain, fit)
        versions[fit.kind] = ask_again(work, patience_s=settings.registry_wait_s, say=say)
        say(f"{fit.kind} is version {versions[fit.kind]}")
    return versions


def read_versions(retrain: Retrain) -> dict[str, int]:
    """Read the versions that were registered, by model."""
    return {name: _read_version(retrain, name) for name in retrain.names}


def _read_version(retrain: Retrain, name: str) -> int:
    return int(json.loads((retrain.step(_REGISTER, name) / _RECORD).read_text())["version"])


def _register(settings: Settings, retrain: Retrain, fit: Fit) -> int:
    request = retrain.request(fit.kind)

    def work(folder: Path) -> None:
        client = connect(settings)
        with mlflow_answering(settings.model_name):
            version = find_registered(settings, request)
            if version is None:
                _remove_runs(client, request)
                version = _log_run(settings, retrain, fit)
        write_json(folder / _RECORD, {"version": version})

    run_step(retrain.step(_REGISTER, fit.kind), work)
    return _read_version(retrain, fit.kind)


def _remove_runs(client: MlflowClient, request: str) -> None:
    """Remove the runs of tries that died before they had registered anything."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None  # connect made sure of it
    for run in client.search_runs([experiment.experiment_id], f"tags.{REQUEST} = '{request}'"):
        client.delete_run(run.info.run_id)


def _log_run(settings: Settings, retrain: Retrain, fit: Fit) -> int:
    """Log everything that led to a version, and register it."""
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    tags = _describe_origin(settings, retrain, fit)
    name = f"{fit.kind} {retrain.snapshot.last_session}"
    with mlflow.start_run(run_name=name, tags=tags | {"code_dirty": str(is_dirty()).lower()}) as run:
        mlflow.log_input(_describe_dataset(settings, retrain), context="training")
        mlflow.log_params(_choose_params(settings, retrain, fit))
        told = {"fit_seconds": fit.seconds, "fit_windows": fit.fit_windows}
        mlflow.log_metrics({**fit.metrics, **read_backtest(retrain, fit.kind), **told})
        for step, figures in enumerate(fit.learning_curve):
            mlflow.log_metrics({f"fit_{key}": value for key, value in figures.items()}, step=step)
        mlflow.log_dict(describe_environment(), "environment.json")
        mlflow.log_dict(retrain.leaks, "leak_tests.json")
        for part in (ORIGINAL, EVIDENCE):
            mlflow.log_artifacts(str(fit.folder / part), part)
        mlflow.log_artifact(str(fit.folder / RESIDUALS))
        tags |= {"lookback": str(fit.lookback), "residuals_sha256": hash_file(fit.folder / RESIDUALS)}
        tags |= _log_reference(retrain)
        if fit.market_columns:
            tags["market_columns"] = ",".join(fit.market_columns)
        return _register_graph(settings, run, fit, tags)


def _describe_origin(settings: Settings, retrain: Retrain, fit: Fit) -> dict[str, str]:
    """Tags of run and version: what led to it, and which request it answers."""
    return {
        "kind": fit.kind,
        "bars_version": str(retrain.snapshot.bars_version),
        "holdout_from": str(retrain.snapshot.holdout_from),
        "trained_through": str(retrain.snapshot.last_session),
        "content_sha256": retrain.content_sha256,
        "code_version": code_version(),
        "environment_hash": environment_hash(),
        "settings_hash": settings.fingerprint(),
        REQUEST: retrain.request(fit.kind),
    }


def _describe_dataset(settings: Settings, retrain: Retrain) -> Any:
    """The snapshot as MLflow's page shows an input: the Delta table, its version, a hash of what was read."""
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = DeltaDatasetSource(path=str(settings.lake / BARS.name), delta_table_version=retrain.snapshot.bars_version)
    return MetaDataset(source, name="bars", digest=retrain.content_sha256[:16])


def _choose_params(settings: Settings, retrain: Retrain, fit: Fit) -> dict[str, str]:
    shaping = settings.model_dump(mode="json", include=SHAPING | {"threads"})
    said = {**fit.hyperparameters, **asdict(retrain.snapshot), **shaping, "is_resumed": fit.is_resumed}
    return {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in said.items()}


def _log_reference(retrain: Retrain) -> dict[str, str]:
    """Log what drift is judged by, where the snapshot was long enough to have it; return the version's tag."""
    import mlflow

    path = retrain.step("snapshot") / REFERENCE
    if not path.exists():
        return {}
    mlflow.log_artifact(str(path))
    return {"drift_sha256": hash_file(path)}


def _register_graph(settings: Settings, run: mlflow.ActiveRun, fit: Fit, tags: dict[str, str]) -> int:
    example = fit.read_example()
    forecast = run_graph(load_graph(fit.graph, threads=1), example)
    return register_graph(settings, run, fit.graph, example=(example, forecast), tags=tags)
