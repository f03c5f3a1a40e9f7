"""How well the models forecast: against what can be known on the simulated exchange, and on real files.

MODEL_r2_ratio            R² for the next open over the R² of the simulator's own conditional mean, on held-out clean
                          rows; _lower and _upper: 95 % interval, sessions resampled
FILE_MODEL_open, _close   with --data: mean absolute error over last close's, on the newest fifth of the sessions
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.report import Goal, report
from include.backtest.windows import build_windows, sample_windows
from include.console import show_steps
from include.ingest.ingest import ingest_upload
from include.lake.bars import open_bars
from include.lake.files import list_sessions
from include.market.exchange import SimulatedExchange, simulate_exchange
from include.market.sessions import guess_calendar
from include.schema import WINDOW_COLUMNS
from include.settings import Settings
from include.steps import OpenStep, train_and_promote
from include.uploads.read import read_upload
from models.catalog import MODEL_NAMES, NAIVE_NAMES, build_model
from models.market import join_market
from models.metrics import bootstrap_interval, r2

LEARNED = tuple(name for name in MODEL_NAMES if name not in NAIVE_NAMES)
GOALS = {"bigru_r2_ratio": Goal(at_least=0.8), "ensemble_r2_ratio": Goal(at_least=0.8)}


def share_of_mean(actual: np.ndarray, forecast: np.ndarray, expected: np.ndarray) -> float:
    """Return a forecast's R² over the conditional mean's."""
    return r2(actual, forecast) / r2(actual, expected)


def measure_simulated(name: str, exchange: SimulatedExchange, windows: int) -> dict[str, float]:
    """Fit on the first four fifths of the sessions, measure the open of the last fifth."""
    cube = np.stack([getattr(exchange, column) for column in WINDOW_COLUMNS], axis=-1).astype(np.float32)
    cut, model = len(cube) * 4 // 5, build_model(name)
    cube = join_market(cube, model.market_columns)
    seen = sample_windows(
        cube, lookback=model.lookback, origins=range(cut - 1), min_observed=model.lookback - 2, limit=windows, seed=7
    )
    held = build_windows(
        cube, lookback=model.lookback, origins=range(cut, len(cube) - 1), min_observed=model.lookback - 2
    )
    forecast = model.fit(seen.windows, seen.targets, seed=7, threads=2).predict(held.windows)[:, 0]
    at = held.origin_index, held.symbol_index
    expected = exchange.conditional_mean[at][:, 0]
    actual = np.where(np.isnan(expected), np.nan, exchange.realised_returns()[at][:, 0])
    lower, upper = bootstrap_interval(share_of_mean, held.origin_index, actual, forecast, expected, resamples=300)
    figure = f"{name}_r2_ratio"
    return {
        figure: share_of_mean(actual, forecast, expected),
        f"{figure}_lower": lower,
        f"{figure}_upper": upper,
    }


def measure_file(path: Path, open_step: OpenStep, windows: int) -> dict[str, float]:
    """Ingest a real file and train on all but its newest fifth."""
    days = read_upload(path).bars.sessions()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), calendar=guess_calendar(days), train_windows=windows, _env_file=None)
        ingest_upload(settings, path)
        sessions = len(list_sessions(open_bars(settings.lake)))
        settings = settings.model_copy(update={"holdout_sessions": sessions // 5})
        _, candidates, _ = train_and_promote(settings, open_step, names=LEARNED, promote=False, who="benchmark")
    name = path.name.split(".")[0]
    measured = {}
    for each in candidates:
        measured[f"{name}_{each.kind}_open"] = each.open_error / each.last_close_open_error
        measured[f"{name}_{each.kind}_close"] = each.close_error / each.last_close_close_error
    return measured


def main() -> int:
    """Simulate and measure; then the real files that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=250)
    parser.add_argument("--windows", type=int, default=300_000)
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="real files")
    given = parser.parse_args()
    measured: dict[str, float] = {}
    with show_steps() as open_step:
        exchange = simulate_exchange(
            symbols=given.symbols,
            sessions=given.sessions,
            calendar="24/7",
            seed=11,
            last_session=date(2018, 6, 30),
        )
        for name in LEARNED:
            line = open_step(f"Fit {name} on the simulated exchange")
            measured |= measure_simulated(name, exchange, given.windows)
            line.finish("measured")
        for path in given.data:
            measured |= measure_file(path, open_step, given.windows)
    return 0 if report("models", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
