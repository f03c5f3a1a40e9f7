"""The step that puts fitted models into the registry, with everything that led to them, each in an MLflow run.

A version and its tags are made in one commit, the last of all, and one tag names the request: a try that follows one
that died finds the version, or removes the run that has none and begins anew. So nothing is half registered, and
nothing is registered twice. A naive model learns nothing: where graph and code are those of a version that is there, it
is that version, and no other is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backtest.residuals import RESIDUALS
from include.errors import NotFoundError
from include.lake.tables import BARS
from include.provenance import code_version, describe_environment, environment_hash, is_dirty
from include.registry.api import RegistryState
from include.registry.artifact import hash_file, read_canonical
from include.registry.change import fetch_registered
from include.registry.client import EXPERIMENT, connect
from include.registry.open import open_registry
from include.registry.reference import REFERENCE
from include.registry.register import FIT, REQUEST, find_registered, register_graph, remove_runs
from include.scoring.graph import load_graph, run_graph
from include.settings import SHAPING, Settings
from include.training.done import hash_record, run_step, write_json
from include.training.fit import EVIDENCE, ORIGINAL, Fit, read_fits
from include.training.patience import ask_again, mlflow_answering
from include.training.record import Retrain
from include.training.refits import read_backtest

if TYPE_CHECKING:
    import mlflow

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


def read_graphs(retrain: Retrain) -> dict[str, str]:
    """Read the SHA-256 of the graphs that were registered, by model."""
    return {name: str(_read_record(retrain, name)["graph_sha256"]) for name in retrain.names}


def hash_registered(retrain: Retrain) -> str:
    """Return the SHA-256 of the records of what was registered, for the step that builds on them."""
    return hash_record(*(retrain.step(_REGISTER, name) for name in retrain.names))


def _read_version(retrain: Retrain, name: str) -> int:
    return int(_read_record(retrain, name)["version"])


def _read_record(retrain: Retrain, name: str) -> dict[str, Any]:
    return dict(json.loads((retrain.step(_REGISTER, name) / _RECORD).read_text()))


def _register(settings: Settings, retrain: Retrain, fit: Fit) -> int:
    request = retrain.request(fit.kind)

    def work(folder: Path) -> None:
        client = connect(settings)
        with mlflow_answering(settings.model_name):
            version = find_registered(settings, request, hash_file(fit.graph)) or _find_same(settings, fit)
            if version is None:
                remove_runs(settings, client, request)
                version = _log_run(settings, retrain, fit)
            graph = open_registry(settings).look().versions[version].tags["onnx_sha256"]
        write_json(folder / _RECORD, {"version": version, "graph_sha256": graph})

    basis = retrain.basis | {"fit": hash_record(fit.folder)}
    run_step(retrain.step(_REGISTER, fit.kind), work, basis=basis)
    return _read_version(retrain, fit.kind)


def _find_same(settings: Settings, fit: Fit) -> int | None:
    """Return the newest version of a naive model that has this graph, byte by byte, and was made by this code."""
    if not fit.is_naive:
        return None
    state, wanted = open_registry(settings).look(), {"kind": fit.kind, "code_version": code_version()}
    for number in sorted(state.versions, reverse=True):
        if wanted.items() <= state.versions[number].tags.items() and _has_graph(settings, state, number, fit.graph):
            return number
    return None


def _has_graph(settings: Settings, state: RegistryState, version: int, graph: Path) -> bool:
    """Whether a version is whole, and its graph this one: tags alone may be anybody's."""
    try:
        found = fetch_registered(settings, state, version)
    except NotFoundError:
        return False
    return found.onnx is not None and read_canonical(found.onnx) == read_canonical(graph)


def _log_run(settings: Settings, retrain: Retrain, fit: Fit) -> int:
    """Log everything that led to a version, and register it."""
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    tags = _describe_origin(settings, retrain, fit)
    name = f"{fit.kind} {retrain.snapshot.last_session}"
    shown = {"code_dirty": str(is_dirty()).lower(), "mlflow.source.name": f"retrain {retrain.retrain_id}: register"}
    with mlflow.start_run(run_name=name, tags=tags | shown) as run:
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
        tags |= {"lookback": str(fit.lookback), FIT: hash_file(fit.graph)}
        tags |= {"residuals_sha256": hash_file(fit.folder / RESIDUALS)} | _log_reference(retrain)
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
