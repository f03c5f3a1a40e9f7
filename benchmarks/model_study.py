"""What makes a forecast better: losses, optimisers, features, lookbacks, each changed alone, on real files.

The network is dense_window's, fitted on a seeded sample of the first four fifths of the sessions and judged on a seeded
sample of the others, on the cells that every model is judged on. Market-wide columns and a vector learned for each
symbol are given to the network beside its window, though no artifact takes them: the study says what they would pay.

FILE_TRIAL_open, _close   mean absolute error over last close's
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import report
from benchmarks.study_data import read_file
from include.backtest.heldout import JUDGED_SESSIONS
from include.backtest.windows import Windows, sample_windows
from include.console import show_steps
from include.lake.bars import MOST_MISSING, BarCube
from include.schema import TARGETS, WINDOW_COLUMNS
from models.features import FEATURES
from models.keras_fit import KerasHyperparameters
from models.keras_runtime import keras, prepare_keras
from models.metrics import relative_error
from models.protocol import Floats
from models.standardise import Lesson, prepare_lesson

_CLOSE = WINDOW_COLUMNS.index("close")
_LEVELS = ("unchanged", "volatility")


@dataclass(frozen=True)
class Trial:
    """One change against the first trial, which changes nothing.

    Attributes
    ----------
    loss, weighted
        The loss, and whether windows weigh as their volatility does.
    without
        Features that are set to zero.
    lookback
        Sessions that are looked at, the newest of the window; at most `JUDGED_SESSIONS`.
    beside
        What the network is given beside its window: `market` or `symbol`.
    seeds
        Networks whose forecasts are averaged.
    """

    loss: Callable[[], Any] = keras.losses.MeanAbsoluteError
    optimiser: Callable[[Any], Any] = keras.optimizers.Adam
    weighted: bool = True
    without: tuple[str, ...] = ()
    lookback: int = JUDGED_SESSIONS
    beside: str = ""
    learning_rate: float = 5e-3
    batch_size: int = 4096
    most_seen: int = 1_000_000
    seeds: int = 1


TRIALS = {
    "as_it_is": Trial(),
    "huber_tenth": Trial(loss=lambda: keras.losses.Huber(0.1)),
    "huber_one": Trial(loss=lambda: keras.losses.Huber(1.0)),
    "squared": Trial(loss=keras.losses.MeanSquaredError),
    "unweighted": Trial(weighted=False),
    "adamw": Trial(optimiser=lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.01)),
    "momentum": Trial(
        optimiser=lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True), learning_rate=0.1
    ),
    "batch_1024": Trial(batch_size=1024),
    "half_the_passes": Trial(most_seen=500_000),
    "lookback_8": Trial(lookback=8),
    "lookback_5": Trial(lookback=5),
    "no_levels": Trial(without=_LEVELS),
    "no_wicks": Trial(without=("upper_wick", "lower_wick")),
    "no_volume": Trial(without=("volume_change",)),
    "market_beside": Trial(beside="market"),
    "symbol_beside": Trial(beside="symbol"),
    "mean_of_five": Trial(seeds=5),
}


@dataclass(frozen=True)
class Part:
    """Windows to learn from or to be judged on, and the market's returns, (n_sessions, 2), to go beside them."""

    windows: Windows
    market_returns: Floats

    @cached_property
    def lesson(self) -> Lesson:
        """Features of all JUDGED_SESSIONS."""
        return prepare_lesson(self.windows.windows, self.windows.targets)

    @cached_property
    def market(self) -> Floats:
        """Median and mean return of all symbols in the newest three sessions, in units of volatility, (n, 6)."""
        sessions = np.maximum(self.windows.origin_index[:, None] - np.arange(3), 0)
        newest = self.market_returns[sessions].reshape(len(self.windows), -1)
        return np.asarray(np.clip(newest / self.lesson.units, -5, 5), dtype=np.float32)

    def inputs(self, trial: Trial) -> list[Floats]:
        """Give what the trial's network takes."""
        kept = np.array([name not in trial.without for name in FEATURES], dtype=np.float32)
        features = self.lesson.features[:, 1 - trial.lookback :] * kept
        beside = {"": [], "market": [self.market], "symbol": [self.windows.symbol_index[:, None].astype(np.int32)]}
        return [features, *beside[trial.beside]]


def measure_market(cube: BarCube) -> Floats:
    """Median and clipped mean of all symbols' returns, (n_sessions, 2); zero where nobody traded twice."""
    closes = cube.values[..., _CLOSE].astype(np.float64)
    returns = np.full(closes.shape, np.nan)
    returns[1:] = np.log(closes[1:] / closes[:-1])
    known = np.isfinite(returns).any(axis=1)
    market = np.zeros((len(closes), 2))
    market[known, 0] = np.nanmedian(returns[known], axis=1)
    market[known, 1] = np.nanmean(np.clip(returns[known], -0.5, 0.5), axis=1)
    return market


def build_parts(cube: BarCube, fitted: int, judged: int) -> tuple[Part, Part]:
    """Sample the first four fifths of the sessions and the last, targets apart."""
    cut, market = len(cube.sessions) * 4 // 5, measure_market(cube)
    wanted: dict[str, Any] = {"lookback": JUDGED_SESSIONS, "min_observed": JUDGED_SESSIONS - MOST_MISSING, "seed": 7}
    learned = sample_windows(cube.values, origins=range(cut - 1), limit=fitted, **wanted)
    held = sample_windows(cube.values, origins=range(cut - 1, len(cube.sessions) - 1), limit=judged, **wanted)
    return Part(learned, market), Part(held, market)


def build_network(trial: Trial, n_symbols: int) -> Any:
    """Build dense_window's network, with room for what is beside the window."""
    inputs = [keras.Input((trial.lookback - 1, len(FEATURES)))]
    parts = [keras.layers.Flatten()(inputs[0])]
    if trial.beside == "market":
        inputs.append(keras.Input((6,)))
        parts.append(inputs[1])
    if trial.beside == "symbol":
        inputs.append(keras.Input((1,), dtype="int32"))
        parts.append(keras.layers.Flatten()(keras.layers.Embedding(n_symbols, 4)(inputs[1])))
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in (64, 32):
        hidden = keras.layers.Dense(units, activation="swish")(hidden)
    return keras.Model(inputs, keras.layers.Dense(len(TARGETS), kernel_initializer="zeros")(hidden))


def forecast(trial: Trial, learned: Part, held: Part, n_symbols: int) -> Floats:
    """Fit and forecast log returns (n, 2) of the held-out part."""
    forecasts = [forecast_once(trial, learned, held, n_symbols, seed) for seed in range(7, 7 + trial.seeds)]
    return np.asarray(np.mean(forecasts, axis=0))


def forecast_once(trial: Trial, learned: Part, held: Part, n_symbols: int, seed: int) -> Floats:
    """Fit one network."""
    prepare_keras(seed=seed, threads=2)
    lesson, network = learned.lesson, build_network(trial, n_symbols)
    weights = lesson.importance if trial.weighted else np.ones_like(lesson.importance)
    typical = (np.abs(lesson.standardised) * weights[:, None]).mean(axis=0) + 1e-3
    passes = KerasHyperparameters(most_seen=trial.most_seen).count_passes(len(lesson))
    steps = passes * -(-len(lesson) // trial.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(trial.learning_rate, steps)
    network.compile(trial.optimiser(rate), trial.loss(), jit_compile=False)
    network.fit(
        learned.inputs(trial),
        lesson.standardised / typical,
        sample_weight=weights,
        batch_size=trial.batch_size,
        epochs=passes,
        verbose=0,
    )
    standardised = network.predict(held.inputs(trial), batch_size=16_384, verbose=0) * typical
    return np.asarray(np.clip(standardised, -5, 5) * held.lesson.units)


def main() -> int:
    """Run every trial on every file that is named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="+", help="real files")
    parser.add_argument("--windows", type=int, default=300_000)
    parser.add_argument("--judged", type=int, default=250_000)
    parser.add_argument("--only", nargs="*", choices=TRIALS, default=list(TRIALS), help="trials")
    given = parser.parse_args()
    measured: dict[str, float] = {}
    with show_steps() as open_step:
        for path in given.data:
            cube = read_file(path)
            learned, held = build_parts(cube, given.windows, given.judged)
            for name in given.only:
                line, started = open_step(f"{path.name.split('.')[0]}: {name}"), time.perf_counter()
                found = forecast(TRIALS[name], learned, held, len(cube.symbols))
                errors = [relative_error(held.lesson.targets[:, axis], found[:, axis]) for axis in range(len(TARGETS))]
                for target, error in zip(TARGETS, errors, strict=True):
                    measured[f"{path.name.split('_')[0]}_{name}_{target}"] = float(error)
                line.finish(f"open {errors[0]:.4f}, close {errors[1]:.4f}, {time.perf_counter() - started:.0f} s")
    report("model_study", measured, {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
