"""A retrain in three steps, each with its own record: take a snapshot, fit a candidate, promote the best.

A snapshot is a version of bars and a cut: no model is fitted on a window whose target lies in the held-out sessions,
and every candidate is judged on all windows of those sessions, by its ONNX graph as scoring runs it. Last close is a
candidate like any other, so where nothing beats it, it serves.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import InputError, NotFoundError
from include.lake.bars import MOST_MISSING, BarCube, open_bars, read_cube
from include.lake.files import list_sessions
from include.lake.identity_file import load_symbol_changes
from include.provenance import code_version, environment_hash
from include.quality.drift import FEWEST_SESSIONS, build_reference
from include.quality.snapshot import require_valid_snapshot
from include.registry.artifact import hash_file
from include.registry.promote import promote_version
from include.registry.reference import REFERENCE
from include.registry.store import EXPERIMENT, GRAPH, connect, register_graph
from include.schema import TARGETS
from include.scoring.graph import load_graph, run_graph
from include.settings import Settings
from include.training.windows import Windows, build_windows, sample_windows
from models.catalog import MODEL_NAMES, build_model
from models.metrics import mean_absolute_error, relative_error

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.protocol import FittedModel, Model

EXAMPLE_WINDOWS = 5

JUDGED_SESSIONS = 10
"""Candidates are judged on the windows that have so many sessions (up to `MOST_MISSING` absent), whatever their own
lookback: on the same windows, so that their errors can be compared."""

OnProgress = Callable[[str, int, int, str], None]
"""Called as on_progress(model, steps done, steps in all, what the newest step says)."""


@dataclass(frozen=True)
class Snapshot:
    """What a retrain reads, and where it cuts.

    Attributes
    ----------
    bars_version
        The pinned version of bars.
    first_session, last_session
        The sessions it reads.
    holdout_from
        First held-out session: forecasts of it and of later ones judge, and were never fitted on.
    """

    bars_version: int
    first_session: date
    last_session: date
    holdout_from: date
    sessions: int
    holdout_sessions: int


@dataclass(frozen=True)
class Candidate:
    """A registered version and how it did on the held-out sessions; errors are of log returns, lower is better."""

    kind: str
    version: int
    open_error: float
    close_error: float
    last_close_open_error: float
    last_close_close_error: float
    relative_error: float
    windows: int


def take_snapshot(settings: Settings, *, last_session: date | None = None) -> Snapshot:
    """Pin the newest version of bars and decide the cut.

    Raises
    ------
    InputError
        There are too few sessions to fit on and hold some out.
    """
    bars = open_bars(settings.lake)
    sessions = [day for day in list_sessions(bars) if last_session is None or day <= last_session]
    holdout = settings.holdout_sessions
    if len(sessions) < 2 * holdout or len(sessions) < 30:
        rule = f"bars must hold at least {max(30, 2 * holdout)} sessions to train on"
        raise InputError(rule, value=len(sessions), place="bars")
    return Snapshot(int(bars.version()), sessions[0], sessions[-1], sessions[-holdout], len(sessions), holdout)


def read_snapshot(settings: Settings, snapshot: Snapshot) -> BarCube:
    """Read all bars of a snapshot, once they have passed its validation.

    Raises
    ------
    BlockedError
        The snapshot fails its validation: nothing may be trained on it.
    """
    bars = open_bars(settings.lake, version=snapshot.bars_version)
    sessions = [day for day in list_sessions(bars) if snapshot.first_session <= day <= snapshot.last_session]
    cube = read_cube(bars, sessions, changes=load_symbol_changes(settings))
    require_valid_snapshot(settings, cube, snapshot.last_session)
    return cube


def fit_candidate(
    settings: Settings,
    snapshot: Snapshot,
    name: str,
    *,
    cube: BarCube | None = None,
    on_progress: OnProgress | None = None,
) -> Candidate:
    """Fit a model on a snapshot, judge it on the held-out sessions, log and register it.

    Parameters
    ----------
    settings
        Seed, threads, most windows, registry.
    snapshot
        From `take_snapshot`.
    name
        One of `models.catalog.MODEL_NAMES`.
    cube
        The snapshot's bars where they are at hand already.
    on_progress
        See `OnProgress`.

    Raises
    ------
    NotFoundError
        There is no model of that name.
    """
    require_known([name])
    model = build_model(name)
    cube = cube or read_snapshot(settings, snapshot)
    cut = cube.sessions.index(snapshot.holdout_from)
    training = _training_windows(settings, model, cube, cut)

    def tell(done: int, total: int, figures: Mapping[str, float]) -> None:
        if on_progress:
            on_progress(name, done, total, ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))

    targets = training.targets
    assert targets is not None  # sample_windows always gives them
    fitted = model.fit(training.windows, targets, seed=settings.seed, threads=settings.threads, on_progress=tell)
    example = training.windows[:EXAMPLE_WINDOWS]
    return _judge_and_register(settings, _Fit(snapshot, model, fitted, example), cube, cut)


def require_known(names: Sequence[str]) -> None:
    """Refuse a model that does not exist, before anything is fitted.

    Raises
    ------
    NotFoundError
        Names it, and those that there are.
    """
    if unknown := [name for name in names if name not in MODEL_NAMES]:
        raise NotFoundError(f"model must be one of {', '.join(MODEL_NAMES)}", value=unknown[0])


def _training_windows(settings: Settings, model: Model, cube: BarCube, cut: int) -> Windows:
    """Sample windows whose target session lies before the cut."""
    return sample_windows(
        cube.values,
        lookback=model.lookback,
        origins=range(cut - 1),
        min_observed=max(1, model.lookback - MOST_MISSING),
        limit=settings.train_windows,
        seed=settings.seed,
    )


@dataclass(frozen=True)
class _Fit:
    """A fitted model, what it was fitted on, and a few windows to show how it is called."""

    snapshot: Snapshot
    model: Model
    fitted: FittedModel
    example: npt.NDArray[np.float32]


def _judge_and_register(settings: Settings, fit: _Fit, cube: BarCube, cut: int) -> Candidate:
    """Write the graph, measure it and put both into the registry, in one MLflow run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fit.fitted.save_onnx(folder / GRAPH)
        _write_reference(cube, folder / REFERENCE)
        metrics = judge_graph(settings, folder / GRAPH, cube, cut, lookback=fit.model.lookback)
        version = _log_run(settings, fit, folder, metrics)
    chosen = {field: metrics[field] for field in metrics.keys() & Candidate.__dataclass_fields__.keys()}
    return Candidate(kind=fit.model.name, version=version, windows=int(metrics["holdout_windows"]), **chosen)


def _write_reference(cube: BarCube, path: Path) -> None:
    """Write what drift is judged by: the snapshot's newest sessions, those held out included, which judged the model.

    A snapshot too short to say how its sessions differ gets none.
    """
    if len(cube.sessions) > FEWEST_SESSIONS:
        path.write_text(build_reference(cube.values, cube.sessions).to_json())


def judge_graph(settings: Settings, graph: Path, cube: BarCube, cut: int, *, lookback: int) -> dict[str, float]:
    """Measure a graph on every window whose target session is held out.

    Returns
    -------
    dict
        For each target the mean absolute error of the log return and last close's; `relative_error`, the mean over
        targets of their ratio (1 is last close's own); and how many windows were judged.
    """
    if lookback > JUDGED_SESSIONS:
        raise InputError(f"a model may look back on at most {JUDGED_SESSIONS} sessions", value=lookback)
    session = load_graph(graph, threads=settings.threads)
    forecasts, actual = [], []
    for origin in range(cut - 1, len(cube.sessions) - 1):
        held = build_windows(
            cube.values, lookback=JUDGED_SESSIONS, origins=[origin], min_observed=JUDGED_SESSIONS - MOST_MISSING
        )
        if len(held) and held.targets is not None:
            forecasts.append(run_graph(session, np.ascontiguousarray(held.windows[:, -lookback:])))
            actual.append(held.targets)
    if not actual:
        raise InputError("the held-out sessions must hold at least one window", value=0, place="bars")
    y, forecast = np.concatenate(actual).astype(np.float64), np.concatenate(forecasts).astype(np.float64)
    metrics: dict[str, float] = {"holdout_windows": float(len(y))}
    for axis, target in enumerate(TARGETS):
        metrics[f"{target}_error"] = float(mean_absolute_error(y[:, axis], forecast[:, axis]))
        metrics[f"last_close_{target}_error"] = float(mean_absolute_error(y[:, axis], np.zeros(len(y))))
        metrics[f"{target}_relative_error"] = float(relative_error(y[:, axis], forecast[:, axis]))
    metrics["relative_error"] = float(np.mean([metrics[f"{target}_relative_error"] for target in TARGETS]))
    return metrics


def _log_run(settings: Settings, fit: _Fit, folder: Path, metrics: dict[str, float]) -> int:
    """Log everything that led to a version, and register it."""
    client = connect(settings)
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    snapshot, name = fit.snapshot, fit.model.name
    with mlflow.start_run(run_name=f"{name} {snapshot.last_session}") as run:
        params = _flatten(asdict(fit.model.hyperparameters)) | _flatten(asdict(snapshot)) | {"seed": settings.seed}
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
        for step, figures in enumerate(fit.fitted.learning_curve):
            mlflow.log_metrics({f"fit_{key}": value for key, value in figures.items()}, step=step)
        tags = {
            "bars_version": str(snapshot.bars_version),
            "holdout_from": str(snapshot.holdout_from),
            "code_version": code_version(),
            "environment_hash": environment_hash(),
            "settings_hash": settings.fingerprint(),
        }
        mlflow.set_tags({"kind": name, **tags})
        (folder / "original").mkdir()
        fit.fitted.save_original(folder / "original")
        client.log_artifacts(run.info.run_id, str(folder / "original"), "original")
        forecast = run_graph(load_graph(folder / GRAPH, threads=1), fit.example)
        tags |= {"kind": name, "lookback": str(fit.model.lookback)}
        if (folder / REFERENCE).exists():
            client.log_artifact(run.info.run_id, str(folder / REFERENCE))
            tags["drift_sha256"] = hash_file(folder / REFERENCE)
        return register_graph(settings, run, folder / GRAPH, example=(fit.example, forecast), tags=tags)


def _flatten(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in values.items()}


def promote_best(settings: Settings, candidates: Sequence[Candidate], *, who: str) -> Candidate:
    """Put the candidate with the lowest relative error into Production; on a tie, the one named first, the simpler.

    Raises
    ------
    InputError
        There is no candidate.
    """
    finite = [candidate for candidate in candidates if isfinite(candidate.relative_error)]
    if not finite:
        raise InputError("at least one candidate must have been fitted, with a finite error", value=len(candidates))
    best = min(finite, key=lambda candidate: candidate.relative_error)
    why = f"lowest error on held-out sessions: {best.relative_error:.4f} of last close's"
    promote_version(settings, best.version, who=who, why=why)
    return best


def train(
    settings: Settings,
    *,
    names: Sequence[str] = MODEL_NAMES,
    last_session: date | None = None,
    on_progress: OnProgress | None = None,
    on_snapshot: Callable[[str], None] | None = None,
) -> tuple[Snapshot, list[Candidate]]:
    """Take a snapshot and fit each named model on it; see `fit_candidate`."""
    require_known(names)
    snapshot = take_snapshot(settings, last_session=last_session)
    cube = read_snapshot(settings, snapshot)
    if on_snapshot:
        on_snapshot(
            f"{snapshot.sessions} sessions, {len(cube.symbols):,} symbols, bars version {snapshot.bars_version}"
        )
    return snapshot, [fit_candidate(settings, snapshot, name, cube=cube, on_progress=on_progress) for name in names]
