"""Adopt a team's own model: its files are read as data, made into one graph, held against what it should answer, kept.

A version and its tags are made in one commit, the last of all, and one tag names contract and files: adopting the same
files again finds the version, and a try that died before it is removed by the next. What registers nothing leaves no
run behind.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from include.adopt.check import Checked, check_graph
from include.adopt.contracts import Contract, find_contract
from include.adopt.network import Network, read_network
from include.adopt.scalers import Scalers, add_names, read_scalers
from include.errors import InputError, NotFoundError
from include.provenance import code_version, describe_environment, environment_hash
from include.registry.artifact import hash_file
from include.registry.client import EXPERIMENT, connect
from include.registry.register import REQUEST, find_registered, register_graph, remove_runs
from include.schema import WINDOW_COLUMNS
from include.scoring.graph import load_graph, run_graph
from include.scoring.inputs import prepare_inputs
from include.settings import Settings
from include.training.patience import mlflow_answering
from include.training.recorded import CONTRACT, FITTED_TO

MOST_BYTES = 64 * 2**20
_MODEL, _SCALER, _NAMES, _GRAPH = "model.h5", "scaler.pkl", "names.csv", "model.onnx"


@dataclass(frozen=True)
class Files:
    """What a team hands over.

    Attributes
    ----------
    model, scaler
        The network as Keras 2 saved it, and the pickle of its scalers.
    names
        A CSV of the names that bars have for the scalers' symbols, or None where they are the same.
    check
        An upload and the answers that the original gives for it, or None.
    """

    model: Path
    scaler: Path
    names: Path | None = None
    check: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Adopted:
    """What came of it.

    Attributes
    ----------
    version
        In the registry.
    is_new
        False where these files had been adopted before.
    contract, lookback, forecasts
        What the graph is.
    symbols
        How many have a scaler; no other is forecast.
    written_by
        The Keras that saved the network.
    model_sha256, scaler_sha256
        Of the files as they came.
    checked
        None where nothing was to be checked.
    """

    version: int
    is_new: bool
    contract: str
    lookback: int
    forecasts: tuple[str, ...]
    symbols: int
    written_by: str
    model_sha256: str
    scaler_sha256: str
    checked: Checked | None


@dataclass(frozen=True)
class _Case:
    """Copies of the files, in a folder with the graph that was made of them."""

    contract: Contract
    folder: Path
    network: Network
    scalers: Scalers
    checked: Checked | None

    @property
    def originals(self) -> list[str]:
        """Names of the files as they came."""
        return [name for name in (_MODEL, _SCALER, _NAMES) if (self.folder / name).is_file()]

    @property
    def graph(self) -> Path:
        return self.folder / _GRAPH

    def hash(self, name: str) -> str:
        return hash_file(self.folder / name)

    @property
    def request(self) -> str:
        return " ".join(["adopt", self.contract.name, *(self.hash(name) for name in self.originals)])


def adopt_model(
    settings: Settings,
    files: Files,
    *,
    contract: str,
    who: str,
    fitted_to: date | None = None,
    say: Callable[[str], None] = lambda said: None,
) -> Adopted:
    """Register a team's own model as a version, which no gate has passed; the same files again give the same version.

    Parameters
    ----------
    settings
        Where MLflow is.
    files
        Read as data: nothing in them runs.
    contract
        A name of `include.adopt.contracts`.
    who
        For the version's tags.
    fitted_to
        The last session that the model was fitted on, as the team says; a retrain's gate judges it on later ones alone,
        and on none where this is not known.
    say
        Told what is being done.

    Raises
    ------
    NotFoundError
        There is no such contract or file.
    InputError
        A file breaks a rule, or the graph does not answer as is expected.
    UnavailableError
        MLflow does not answer.
    """
    chosen = find_contract(contract)
    with tempfile.TemporaryDirectory() as folder:
        case = _prepare(chosen, files, Path(folder), say)
        tags = _describe_origin(settings, case, who, fitted_to)
        settings.model_cache.mkdir(parents=True, exist_ok=True)
        with FileLock(settings.model_cache / ".adopt.lock"):
            version, is_new = _register(settings, case, tags, say)
        return Adopted(
            version,
            is_new,
            chosen.name,
            chosen.lookback,
            chosen.forecasts,
            len(case.scalers.symbols),
            case.network.written_by,
            case.hash(_MODEL),
            case.hash(_SCALER),
            case.checked,
        )


def _prepare(contract: Contract, files: Files, folder: Path, say: Callable[[str], None]) -> _Case:
    """Read copies of the files, so that what is hashed, read and kept is one and the same; make and check the graph."""
    for source, name in ((files.model, _MODEL), (files.scaler, _SCALER), (files.names, _NAMES)):
        if source is not None:
            _copy(source, folder / name)
    say("read the network and its scalers")
    with _naming_originals(files):
        network = read_network(folder / _MODEL)
        scalers = read_scalers(folder / _SCALER, contract.columns)
        if files.names is not None:
            scalers = add_names(scalers, folder / _NAMES)
    model = contract.build(network, scalers)
    (folder / _GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    checked = None
    if files.check is not None:
        say("run the graph beside the expected answers")
        upload, expected = files.check
        for path in files.check:
            _require_file(path)
        checked = check_graph(model, contract, upload=upload, expected=expected)
    return _Case(contract, folder, network, scalers, checked)


@contextmanager
def _naming_originals(files: Files) -> Iterator[None]:
    """Let an error name a file as it was handed over: its copy has a name of ours."""
    given = {_MODEL: files.model, _SCALER: files.scaler, _NAMES: files.names}
    try:
        yield
    except InputError as error:
        copy = next((name for name in given if str(error.place).startswith(name)), None)
        if copy is None:
            raise
        place = f"{given[copy]}{str(error.place).removeprefix(copy)}"
        raise InputError(error.rule, value=error.value, place=place) from None


def _copy(source: Path, target: Path) -> None:
    try:
        _require_file(source)
        if (size := source.stat().st_size) > MOST_BYTES:
            rule = f"a model's file must not be larger than {MOST_BYTES:,} bytes"
            raise InputError(rule, value=f"{size:,}", place=str(source))
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError("a model's file must be readable", value=error.strerror, place=str(source)) from None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError("a file that is named must be there", value=path.name, place=str(path.parent))


def _describe_origin(settings: Settings, case: _Case, who: str, fitted_to: date | None) -> dict[str, str]:
    """Tags of run and version: what was adopted, by whom and when."""
    tags = {
        "kind": case.contract.name,
        CONTRACT: case.contract.name,
        "model_sha256": case.hash(_MODEL),
        "scaler_sha256": case.hash(_SCALER),
        "adopted_by": who,
        "adopted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "symbols": str(len(case.scalers.symbols)),
        "code_version": code_version(),
        "environment_hash": environment_hash(),
        "settings_hash": settings.fingerprint(),
        REQUEST: case.request,
    }
    if fitted_to is None:
        return tags
    return tags | {FITTED_TO: fitted_to.isoformat(), "holdout_from": (fitted_to + timedelta(days=1)).isoformat()}


def _register(settings: Settings, case: _Case, tags: dict[str, str], say: Callable[[str], None]) -> tuple[int, bool]:
    client = connect(settings)
    with mlflow_answering(settings.model_name):
        if (found := find_registered(settings, case.request)) is not None:
            return found, False
        remove_runs(settings, client, case.request)
        say("register the graph and both files")
        try:
            return _log_run(settings, case, tags), True
        except BaseException:
            with suppress(Exception):  # what stopped the registration is the error to tell
                if find_registered(settings, case.request) is None:
                    remove_runs(settings, client, case.request)
            raise


def _log_run(settings: Settings, case: _Case, tags: dict[str, str]) -> int:
    """Log the files and how they were judged, then register the graph."""
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    windows, others = _build_example(case)
    forecast = run_graph(load_graph(case.graph, threads=1), windows, [case.scalers.symbols[0]])
    with mlflow.start_run(run_name=f"{case.contract.name} adopted", tags=tags) as run:
        mlflow.log_params(
            {
                "contract": case.contract.name,
                "lookback": case.contract.lookback,
                "forecasts": ", ".join(case.contract.forecasts),
                "symbols": len(case.scalers.symbols),
                "written_by": f"Keras {case.network.written_by}",
            }
        )
        if case.checked:
            mlflow.log_metrics({f"check_{k}": float(v) for k, v in asdict(case.checked).items() if k != "worst"})
        mlflow.log_dict(describe_environment(), "environment.json")
        for name in case.originals:
            mlflow.log_artifact(str(case.folder / name), "original")
        tags = tags | {"lookback": str(case.contract.lookback)}
        return register_graph(settings, run, case.graph, example=(windows, forecast), tags=tags, others=others)


def _build_example(case: _Case) -> tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]:
    """One window of a symbol that does not move, and its further inputs, in the types that the graph takes."""
    graph = load_graph(case.graph, threads=1)
    windows = np.ones((1, case.contract.lookback, len(WINDOW_COLUMNS)))
    inputs = prepare_inputs(graph, windows, [case.scalers.symbols[0]])
    first = graph.get_inputs()[0].name
    return inputs[first], {name: values for name, values in inputs.items() if name != first}
