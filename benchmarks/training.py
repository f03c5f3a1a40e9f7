"""How fast models are fitted: bigru beside Keras alone, and with --full a weekly retrain of a real file.

windows_s         windows a second, passes counted, of a whole fit: sampling them from the cube, features, learning
keras_windows_s   of Keras' fit of the same network on ready arrays: the same batch, passes, loss and weights
speed_ratio       the first over the second; the two take turns, and the median of the pairs' ratios is given
retrain_seconds   with --full: every model fitted at 4 origins, each judged by its graph up to the next origin
peak_rss_gib      with --full: the most memory that the process held
MODEL_seconds     with --full: of these, fitting and judging one model
MODEL_open, _close   with --full: mean absolute error over last close's, over all judged sessions
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.report import Goal, report
from benchmarks.study_data import read_file
from include.backtest.heldout import HeldOut, forecast_held_out, hold_out
from include.backtest.windows import Cube, Windows, sample_windows
from include.console import show_steps
from include.lake.bars import MOST_MISSING, BarCube
from include.market.exchange import simulate_exchange
from include.schema import TARGETS, WINDOW_COLUMNS
from include.steps import OpenStep
from models.bigru import BiGRU
from models.catalog import MODEL_NAMES, NAIVE_NAMES, build_model
from models.keras_fit import compile_core
from models.keras_runtime import prepare_keras
from models.market import MARKET_COLUMNS, join_market
from models.metrics import relative_error
from models.protocol import Model
from models.standardise import prepare_lesson

SPEED_GOALS = {"speed_ratio": Goal(at_least=0.9)}
FULL_GOALS = {"retrain_seconds": Goal(at_most=360), "peak_rss_gib": Goal(at_most=4)}
SEED, THREADS = 7, 2


def simulate_values(symbols: int, sessions: int) -> Cube:
    """Draw an exchange as the array that training samples from."""
    exchange = simulate_exchange(
        symbols=symbols, sessions=sessions, calendar="24/7", seed=11, last_session=date(2018, 6, 30)
    )
    return np.stack([getattr(exchange, column) for column in WINDOW_COLUMNS], axis=-1).astype(np.float32)


def sample(values: Cube, cut: int, lookback: int, limit: int) -> Windows:
    """Sample windows whose targets lie before a cut."""
    least = max(1, lookback - MOST_MISSING)
    return sample_windows(values, lookback=lookback, origins=range(cut - 1), min_observed=least, limit=limit, seed=SEED)


def time_fit(values: Cube, limit: int) -> float:
    """Return the seconds of a whole fit."""
    started, model = time.perf_counter(), BiGRU()
    windows = sample(values, len(values), model.lookback, limit)
    model.fit(windows.windows, windows.targets, seed=SEED, threads=THREADS)
    return time.perf_counter() - started


def time_keras(values: Cube, limit: int) -> tuple[float, int]:
    """Return the seconds of Keras' own fit on arrays that are there, and how many windows it went through."""
    model = BiGRU()
    chosen = model.hyperparameters
    windows = sample(values, len(values), chosen.lookback, limit)
    prepare_keras(seed=SEED, threads=THREADS)
    lesson = prepare_lesson(windows.windows, windows.targets)
    features, y, weights = lesson.features[:, -chosen.seen :], lesson.standardised, lesson.importance
    passes = chosen.count_passes(len(lesson))
    started, core = time.perf_counter(), model.build_core()
    compile_core(core, chosen, len(lesson))
    core.fit(features, y, sample_weight=weights, batch_size=chosen.batch_size, epochs=passes, verbose=0)
    return time.perf_counter() - started, passes * len(lesson)


def measure_speed(open_step: OpenStep, limit: int, pairs: int) -> dict[str, float]:
    """Time both in turn, the first of a pair changing."""
    values = simulate_values(3000, 250)
    time_fit(values, 20_000)  # what a process does once
    ours, alone = [], []
    for pair in range(pairs):
        line = open_step(f"Fit bigru and Keras alone, pair {pair + 1} of {pairs}")
        if pair % 2:
            alone.append(time_keras(values, limit))
        ours.append(time_fit(values, limit))
        if not pair % 2:
            alone.append(time_keras(values, limit))
        line.finish(f"{ours[-1]:.1f} s and {alone[-1][0]:.1f} s")
    seen = alone[0][1]
    return {
        "windows_s": seen / median(ours),
        "keras_windows_s": seen / median(seconds for seconds, _ in alone),
        "speed_ratio": median(seconds / own for own, (seconds, _) in zip(ours, alone, strict=True)),
    }


def measure_retrain(cube: BarCube, open_step: OpenStep, limit: int, origins: int) -> dict[str, float]:
    """Fit and judge every model at each origin: the newest fifth of the sessions in so many blocks."""
    n_sessions = len(cube.sessions)
    cuts = np.linspace(n_sessions * 4 // 5, n_sessions, origins + 1).astype(int)
    seconds = dict.fromkeys(MODEL_NAMES, 0.0)
    judged: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in MODEL_NAMES}
    started = time.perf_counter()
    for cut, end in pairwise(cuts):
        line, held = open_step(f"Origin {cube.sessions[cut]}"), hold_out(cube, cut, end)
        values = join_market(cube.values[:cut], MARKET_COLUMNS)
        shared = sample(values, cut, build_model("bigru").lookback, limit)
        del values
        for name in MODEL_NAMES:
            line.say(name)
            begun, model = time.perf_counter(), build_model(name)
            judged[name].append(fit_and_judge(model, cube, held, shared))
            seconds[name] += time.perf_counter() - begun
        line.finish(f"{len(shared):,} windows")
    measured = {"retrain_seconds": time.perf_counter() - started}
    measured["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for name in MODEL_NAMES:
        measured[f"{name}_seconds"] = seconds[name]
        actual, forecast = (np.concatenate(parts) for parts in zip(*judged[name], strict=True))
        for axis, target in enumerate(TARGETS):
            measured[f"{name}_{target}"] = float(relative_error(actual[:, axis], forecast[:, axis]))
    return measured


def fit_and_judge(model: Model, cube: BarCube, held: HeldOut, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return what followed and what the model's graph said, (n_cells, 2); naive models learn nothing from anything."""
    chosen = slice(0, 1) if model.name in NAIVE_NAMES else slice(None)
    columns = len(WINDOW_COLUMNS) + len(model.market_columns)  # all that there are, or none
    X, y = windows.windows[chosen, -model.lookback :, :columns], windows.targets[chosen]
    fitted = model.fit(X, y, seed=SEED, threads=THREADS)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        fitted.save_onnx(graph)
        forecasts = forecast_held_out(graph, cube, held, lookback=model.lookback, threads=THREADS)
    return held.actual[held.cells], forecasts[held.cells]


def main() -> int:
    """Time bigru beside Keras; with --full, a retrain."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=300_000, help="of a fit that is timed beside Keras")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--full", type=Path, metavar="FILE", help="a real file to retrain on, in place of the pairs")
    parser.add_argument("--full-windows", type=int, default=1_000_000, help="windows of an origin's fits")
    parser.add_argument("--origins", type=int, default=4)
    given = parser.parse_args()
    with show_steps() as open_step:
        if given.full:
            measured = measure_retrain(read_file(given.full), open_step, given.full_windows, given.origins)
        else:
            measured = measure_speed(open_step, given.windows, given.pairs)
    is_asked_size = not given.full or (given.full_windows, given.origins) == (1_000_000, 4)
    goals = (FULL_GOALS if given.full else SPEED_GOALS) if is_asked_size else {}
    return 0 if report("training", measured, goals, note=given.full.name if given.full else "simulated") else 1


if __name__ == "__main__":
    sys.exit(main())
