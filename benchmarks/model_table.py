"""Every model against last close by a walk-forward backtest, with the gate's paired test: real files and a simulation.

DATA_MODEL_open, _close   mean absolute error over last close's, in all judged cells of the newest sessions
DATA_MODEL_loss, _p       both targets' error over last close's; the largest p-value of "not better" than a naive model
DATA_promoted             1 where the gate promotes a model over the naive ones, 0 where none
simulated_r2_ratio_open, _close   R² of the promoted model over that of the simulator's own conditional mean, clean rows
silent                    the same exchange with the signal at zero
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.drift import read_history
from benchmarks.report import Goal, report
from include.backtest.cohorts import measure_volatility
from include.backtest.heldout import combine_losses, measure_forecasts
from include.backtest.walk_forward import WalkForward, walk_forward
from include.console import out, show_steps
from include.gate.verdict import ChallengerVerdict, GateVerdict, judge_challengers
from include.lake.bars import BarCube
from include.market.exchange import SimulatedExchange, simulate_exchange
from include.schema import TARGETS, WINDOW_COLUMNS
from include.steps import OpenStep
from models.catalog import MODEL_NAMES
from models.metrics import r2

NAIVES = tuple(name for name in MODEL_NAMES if name in ("last_close", "seasonal_naive", "drift_naive"))
FILES = {"crypto": "crypto_daily_cmc_2013_2018.parquet", "us": "us_daily_2015_2017.parquet"}
HEADS = ["data", "model", "open", "close", "both", "p", "paired test", "fit, s"]
GOALS = {
    "crypto_best_close": Goal(at_most=0.96),
    "simulated_promoted": Goal(at_least=1),
    "simulated_r2_ratio_open": Goal(at_least=0.8),
    "silent_promoted": Goal(at_most=0),
}


@dataclass(frozen=True)
class Asked:
    """Sizes of every walk."""

    names: tuple[str, ...]
    sessions: int
    origins: int
    windows: int
    symbols: int


def build_cube(values: np.ndarray, sessions: list[date]) -> BarCube:
    """Give bars (n_sessions, n_symbols, 6) as a cube."""
    n_symbols = values.shape[1]
    symbols = np.array([str(k) for k in range(n_symbols)], dtype=object)
    last_close = values[-1, :, WINDOW_COLUMNS.index("close")].astype(np.float64)
    return BarCube(values, sessions, symbols, last_close, np.full(n_symbols, len(values) - 1), 0)


def walk_models(cube: BarCube, asked: Asked, data: str, open_step: OpenStep) -> tuple[WalkForward, GateVerdict]:
    """Walk every model forward over the newest sessions and let the gate judge them."""
    line = open_step(f"Walk {data}")
    first = len(cube.sessions) - asked.sessions
    walk = walk_forward(
        cube,
        names=asked.names,
        first=first,
        origins=asked.origins,
        windows=asked.windows,
        on_progress=lambda name, done, total, said: line.update(done, total, f"{name}: {said}"),
    )
    losses = {name: combine_losses(walk.held, forecasts) for name, forecasts in walk.forecasts.items()}
    naives = [name for name in NAIVES if name in losses]
    volatility = measure_volatility(cube.values, walk.held.origins)[..., TARGETS.index("close")].astype(np.float64)
    verdict = judge_challengers(losses, None, naives, volatility=volatility)
    line.finish(f"{verdict.promoted or 'none'} promoted")
    return walk, verdict


def describe(each: ChallengerVerdict, alpha: float) -> str:
    """Say in a few words what the gate found."""
    if each.passes:
        return "better"
    if any(one.p_value > alpha for one in each.comparisons):
        return "not better"
    if not all(one.is_better for one in each.comparisons):
        return "by too little"
    return f"fails {', '.join(check.name for check in each.checks if not check.holds)}"


def list_rows(data: str, walk: WalkForward, verdict: GateVerdict) -> Iterator[tuple[list[str], dict[str, float]]]:
    """Give each model's row of the table and its figures."""
    judged = {each.name: each for each in verdict.challengers}
    for name, forecasts in walk.forecasts.items():
        errors = measure_forecasts(walk.held, forecasts)
        ratios = [errors[f"{target}_relative_error"] for target in TARGETS]
        figures = {f"{data}_{name}_{target}": ratio for target, ratio in zip(TARGETS, ratios, strict=True)}
        row = [data, f"`{name}`", *(f"{ratio:.4f}" for ratio in ratios)]
        seconds = sum(fit.fit_seconds for fit in walk.fits[name])
        if name in judged and judged[name].comparisons:
            p_value = max(one.p_value for one in judged[name].comparisons)
            loss = judged[name].loss / verdict.losses["last_close"]
            figures |= {f"{data}_{name}_loss": loss, f"{data}_{name}_p": p_value}
            row += [f"{loss:.4f}", f"{p_value:.4f}", describe(judged[name], verdict.alpha)]
        else:
            row += [f"{verdict.losses[name] / verdict.losses['last_close']:.4f}", "", "naive"]
        yield [*row, f"{seconds:.0f}"], figures


def compare_with_mean(exchange: SimulatedExchange, walk: WalkForward, promoted: str | None) -> dict[str, float]:
    """R² of the promoted model over the conditional mean's, by target; nothing without one."""
    if promoted is None:
        return {}
    expected = exchange.conditional_mean[walk.held.origins.start : walk.held.origins.stop]
    actual = exchange.realised_returns()[walk.held.origins.start : walk.held.origins.stop]
    known = np.isfinite(expected) & np.isfinite(actual) & walk.held.cells[..., None]
    forecast = walk.forecasts[promoted]
    return {
        f"simulated_r2_ratio_{target}": r2(actual[..., k][known[..., k]], forecast[..., k][known[..., k]])
        / r2(actual[..., k][known[..., k]], expected[..., k][known[..., k]])
        for k, target in enumerate(TARGETS)
    }


def read_data(data: str, folder: Path, symbols: int) -> tuple[BarCube, SimulatedExchange | None]:
    """Read a real file, or simulate an exchange."""
    if data in FILES:
        history = read_history(folder / FILES[data], None)
        return build_cube(history.values, history.sessions), None
    exchange = simulate_exchange(
        symbols=symbols,
        sessions=310,
        calendar="24/7",
        seed=11,
        last_session=date(2018, 6, 30),
        signal=float(data == "simulated"),
    )
    values = np.stack([getattr(exchange, column) for column in WINDOW_COLUMNS], axis=-1).astype(np.float32)
    return build_cube(values, exchange.sessions), exchange


def measure_data(
    data: str, asked: Asked, folder: Path, open_step: OpenStep
) -> tuple[list[list[str]], dict[str, float]]:
    """Give the rows and the figures of one data set."""
    cube, exchange = read_data(data, folder, asked.symbols)
    walk, verdict = walk_models(cube, asked, data, open_step)
    rows, measured = [], {}
    for row, figures in list_rows(data, walk, verdict):
        rows.append(row)
        measured |= figures
    measured[f"{data}_promoted"] = float(verdict.promoted is not None)
    measured[f"{data}_best_close"] = min(measured[f"{data}_{name}_close"] for name in asked.names)
    if data == "simulated" and exchange is not None:
        measured |= compare_with_mean(exchange, walk, verdict.promoted)
    return rows, measured


def main() -> int:
    """Walk each data set, print one table and one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the real files")
    parser.add_argument("--only", nargs="*", default=[*FILES, "simulated", "silent"], help="which data sets")
    parser.add_argument("--model", nargs="*", default=MODEL_NAMES, help="which models")
    parser.add_argument("--sessions", type=int, default=60, help="newest sessions that are forecast")
    parser.add_argument("--origins", type=int, default=4)
    parser.add_argument("--windows", type=int, default=300_000, help="most windows of one fit")
    parser.add_argument("--symbols", type=int, default=3000, help="of the simulated exchange")
    given = parser.parse_args()
    names = tuple(dict.fromkeys(("last_close", *given.model)))
    asked = Asked(names, given.sessions, given.origins, given.windows, given.symbols)
    rows: list[list[str]] = []
    measured: dict[str, float] = {}
    with show_steps() as open_step:
        for data in given.only:
            found, figures = measure_data(data, asked, given.data, open_step)
            rows += found
            measured |= figures
    lines = [HEADS, ["---"] * len(HEADS), *rows]
    out.print("\n".join(f"| {' | '.join(line)} |" for line in lines), soft_wrap=True)
    goals = {figure: goal for figure, goal in GOALS.items() if figure in measured}
    return 0 if report("model_table", measured, goals) else 1


if __name__ == "__main__":
    sys.exit(main())
