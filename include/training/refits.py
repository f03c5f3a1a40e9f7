"""The step that asks how a model does when it is refitted as time goes on, as the weekly retrains will refit it.

The held-out sessions are split into blocks. The first block's forecasts are the registered artifact's own; before each
other block the model is fitted again, on all that was known by then. What comes of it is shown, and promotes nobody.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from include.backtest.heldout import hold_out, measure_forecasts
from include.backtest.walk_forward import OnProgress, split_origins, walk_forward
from include.lake.bars import BarCube
from include.settings import Settings
from include.training.done import is_done, run_step, write_json
from include.training.fit import name_errors, read_fit
from include.training.record import Retrain, read_bars

BACKTEST = "backtest"
_RECORD = "metrics.json"


def backtest_model(
    settings: Settings,
    retrain: Retrain,
    name: str,
    *,
    cube: BarCube | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, float]:
    """Refit a model before each origin and measure it over all held-out sessions, unless that was done.

    Parameters
    ----------
    settings
        How many origins; seed, threads, most windows.
    retrain
        The model must have been fitted.
    name
        One of its models.
    cube
        The snapshot's bars where they are at hand already.
    on_progress
        See `include.backtest.walk_forward.OnProgress`.

    Returns
    -------
    dict
        What `include.backtest.heldout.measure_forecasts` says, each name with `backtest_` before it. Empty for a naive
        model, which learns nothing, and where one origin is all that is asked for.
    """

    def work(folder: Path) -> None:
        bars = read_bars(settings, retrain) if cube is None else cube
        write_json(folder / _RECORD, _walk(settings, retrain, name, bars, on_progress))

    run_step(retrain.step(BACKTEST, name), work, basis=retrain.basis)
    return read_backtest(retrain, name)


def read_backtest(retrain: Retrain, name: str) -> dict[str, float]:
    """Read what a backtest measured; see `backtest_model`. Empty where none was made."""
    folder = retrain.step(BACKTEST, name)
    return json.loads((folder / _RECORD).read_text()) if is_done(folder, retrain.basis) else {}


def _walk(
    settings: Settings, retrain: Retrain, name: str, cube: BarCube, on_progress: OnProgress | None
) -> dict[str, float]:
    fit, cut = read_fit(retrain, name), cube.sessions.index(retrain.snapshot.holdout_from)
    origins = min(settings.backtest_origins, retrain.snapshot.holdout_sessions)
    if fit.is_naive or origins == 1:
        return {}
    blocks = split_origins(cut, len(cube.sessions), origins)
    later = walk_forward(
        cube,
        names=[name],
        first=blocks[1].cut,
        origins=origins - 1,
        windows=settings.train_windows,
        seed=settings.seed,
        threads=settings.threads,
        on_progress=on_progress,
    )
    first = fit.read_forecasts()[: blocks[1].cut - cut]
    measured = measure_forecasts(hold_out(cube, cut), np.concatenate([first, later.forecasts[name]]))
    return {f"{BACKTEST}_{metric}": value for metric, value in name_errors(measured).items()}
