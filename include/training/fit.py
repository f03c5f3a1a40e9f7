"""The step that fits one model: its graph, its original, how it was learned, and its held-out forecasts, all on disk.

Nothing is told to MLflow here, so that a fit doesn't wait for it and a model that fails a leak test never reaches it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.backtest.evidence import write_evidence
from include.backtest.heldout import Forecasts, forecast_held_out, hold_out, measure_forecasts
from include.backtest.residuals import RESIDUALS, write_residuals
from include.backtest.walk_forward import OnProgress, relay_progress, sample_before
from include.backtest.windows import Windows
from include.errors import ClosecastError, NotFoundError
from include.gate.leaks import check_blind, check_blind_graph, check_plausible, spoil_future
from include.lake.bars import BarCube
from include.registry.download import GRAPH
from include.schema import TARGETS
from include.settings import Settings
from include.training.done import is_done, run_step, write_json
from include.training.record import Retrain, read_bars
from include.training.snapshot import Snapshot
from models.catalog import build_model
from models.protocol import FittedModel, Model
from models.protocol import OnProgress as OnStep

EXAMPLE_WINDOWS = 5
ORIGINAL, EVIDENCE = "original", "evidence"
_OF = ("", "last_close_")
_FIT, _RECORD, _ARRAYS = "fit", "fit.json", "held_out.npz"

Raw = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """A fitted model as it lies on disk.

    Attributes
    ----------
    folder
        Holds its graph and original.
    market_columns
        Names of the market-wide columns that it takes.
    metrics
        On the held-out sessions; see `include.backtest.heldout.measure_forecasts` and `name_errors`.
    learning_curve
        Figures of each step of the fit.
    fit_windows, seconds
        How many windows it was fitted on, and how long that took.
    is_resumed
        Whether it went on from another try's checkpoint.
    """

    folder: Path
    kind: str
    lookback: int
    is_naive: bool
    market_columns: list[str]
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]
    learning_curve: list[dict[str, float]]
    fit_windows: int
    seconds: float
    is_resumed: bool

    @property
    def graph(self) -> Path:
        """Its ONNX graph."""
        return self.folder / GRAPH

    def read_forecasts(self) -> Forecasts:
        """Read its held-out forecasts, float32 (n_sessions, n_symbols, 2); NaN in a cell that is not judged."""
        return np.asarray(self._read_arrays()["forecasts"])

    def read_example(self) -> Raw:
        """Read a few windows, (n, lookback, 6 and the market-wide columns), to show how it is called."""
        return np.asarray(self._read_arrays()["example"])

    def _read_arrays(self) -> Any:
        return np.load(self.folder / _ARRAYS, allow_pickle=False)


def fit_model(
    settings: Settings,
    retrain: Retrain,
    name: str,
    *,
    cube: BarCube | None = None,
    on_progress: OnProgress | None = None,
) -> Fit:
    """Fit a model on a retrain's snapshot and forecast the held-out sessions, unless both were done.

    Parameters
    ----------
    settings
        Seed, threads, most windows.
    retrain
        From `include.training.record.begin_retrain`.
    name
        One of its models.
    cube
        The snapshot's bars where they are at hand already.
    on_progress
        See `OnProgress`.

    Raises
    ------
    LeakError
        A leak test failed; nothing of the fit is kept.
    ClosecastError
        The model itself failed; it is named.
    """

    def work(folder: Path) -> None:
        bars = read_bars(settings, retrain) if cube is None else cube
        said = _learn(
            settings,
            _Task(build_model(name), bars, retrain.snapshot, checkpoint, folder),
            relay_progress(name, on_progress),
        )
        write_json(folder / _RECORD, said)

    checkpoint = retrain.step(_FIT, f".{name}.{retrain.snapshot_sha256[:12]}.checkpoint")
    run_step(retrain.step(_FIT, name), work, basis=retrain.basis)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return read_fit(retrain, name)


@dataclass(frozen=True)
class _Task:
    """What is fitted on what, and where it is kept."""

    model: Model
    cube: BarCube
    snapshot: Snapshot
    checkpoint: Path
    folder: Path

    @property
    def cut(self) -> int:
        return self.cube.sessions.index(self.snapshot.holdout_from)


def _learn(settings: Settings, task: _Task, tell: OnStep) -> dict[str, Any]:
    """Fit, with noise in place of the future held against it; return what is known of the fit."""
    model, spoilt = task.model, spoil_future(task.cube, task.cut, seed=settings.seed)
    training, again = (_choose_windows(settings, model, cube, task.cut) for cube in (task.cube, spoilt))
    check_blind(training, again)
    assert training.targets is not None  # sample_windows always gives them
    is_resumed, started = task.checkpoint.exists(), time.perf_counter()
    with _naming(model.name):
        fitted = model.fit(
            training.windows,
            training.targets,
            seed=settings.seed,
            threads=settings.threads,
            on_progress=tell,
            checkpoint=task.checkpoint,
        )
        seconds = time.perf_counter() - started
        _write_model(fitted, task.folder)
    check_blind_graph(task.folder / GRAPH, task.cube, spoilt, task.cut, lookback=model.lookback, place=model.name)
    example = training.windows[:EXAMPLE_WINDOWS]
    metrics = _forecast(settings, task, example=example, learning_curve=fitted.learning_curve)
    said = {"metrics": metrics, "fit_windows": len(training), "is_resumed": is_resumed, "seconds": seconds}
    return _describe(model, fitted) | said


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn whatever a model raises into an error that names it; what the disk says is the disk's."""
    try:
        yield
    except (ClosecastError, OSError):
        raise
    except Exception as error:
        rule = "a model must be fitted without an error: mend it, or leave it out (CLOSECAST_MODELS, --model)"
        raise ClosecastError(rule, value=f"{type(error).__name__}: {error}"[:300], place=name) from error


def _forecast(
    settings: Settings, task: _Task, *, example: Raw, learning_curve: list[dict[str, float]]
) -> dict[str, float]:
    """Forecast the held-out sessions, write the forecasts and what they show, measure them."""
    held, lookback = hold_out(task.cube, task.cut), task.model.lookback
    forecasts = forecast_held_out(task.folder / GRAPH, task.cube, held, lookback=lookback, threads=settings.threads)
    np.savez(task.folder / _ARRAYS, forecasts=forecasts, example=example)
    write_residuals(task.folder / RESIDUALS, task.cube, held, forecasts)
    metrics = measure_forecasts(held, forecasts)
    check_plausible(metrics, place=task.model.name)
    shown = write_evidence(
        task.folder / EVIDENCE,
        model=task.model.name,
        cube=task.cube,
        held=held,
        forecasts=forecasts,
        learning_curve=learning_curve,
        threads=settings.threads,
    )
    return shown | name_errors(metrics)


def name_errors(metrics: Mapping[str, float]) -> dict[str, float]:
    """Name each target's mean absolute error, last close's too, as `include.backtest.measures` names it.

    Examples
    --------
    >>> name_errors({"open_error": 0.01, "open_relative_error": 0.98})
    {'open_mean_absolute_error': 0.01, 'open_relative_error': 0.98}
    """
    short = {f"{of}{target}_error": f"{of}{target}_mean_absolute_error" for of in _OF for target in TARGETS}
    return {short.get(name, name): value for name, value in metrics.items()}


def _choose_windows(settings: Settings, model: Model, cube: BarCube, cut: int) -> Windows:
    limit, seed = settings.train_windows, settings.seed
    market = model.market_columns
    return sample_before(cube.values, cut, lookback=model.lookback, limit=limit, seed=seed, market=market)


def _write_model(fitted: FittedModel, folder: Path) -> None:
    fitted.save_onnx(folder / GRAPH)
    (folder / ORIGINAL).mkdir()
    fitted.save_original(folder / ORIGINAL)


def _describe(model: Model, fitted: FittedModel) -> dict[str, Any]:
    return {
        "kind": model.name,
        "lookback": model.lookback,
        "is_naive": model.is_naive,
        "market_columns": model.market_columns,
        "hyperparameters": asdict(model.hyperparameters),
        "learning_curve": fitted.learning_curve,
    }


def read_fit(retrain: Retrain, name: str) -> Fit:
    """Read a fit that was done.

    Raises
    ------
    NotFoundError
        It was not.
    """
    folder = retrain.step(_FIT, name)
    if not is_done(folder, retrain.basis):
        raise NotFoundError("a model must have been fitted on the retrain's snapshot", value=name, place=str(folder))
    return Fit(folder=folder, **json.loads((folder / _RECORD).read_text()))


def read_fits(retrain: Retrain) -> list[Fit]:
    """Read the fits of all models of a retrain, in its order."""
    return [read_fit(retrain, name) for name in retrain.names]
