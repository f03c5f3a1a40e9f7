"""A walk-forward backtest of the closed-form models on ready arrays, every metric and interval included.

seconds       8 models, 7 windows of 120 sessions, 10,000 series: forecasts, intervals and metrics (best of the runs)
loop_seconds  the same forecasts by NumPy a series at a time, from a sample of the series, in the same run; no metrics
Both must agree to the ninth digit, or there is no figure. Models that are ONNX graphs are timed by benchmarks.score.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import Goal, report
from include.console import build_table, out
from models.closed_form.forecasters import Forecaster, closed_form_forecasters
from models.closed_form.panel import build_panel
from models.closed_form.walk import Walk, judge, walk_forward
from models.protocol import WINDOW_COLUMNS, Floats

GOALS = {"seconds": Goal(at_most=0.5)}

SEASON, SPAN, ALPHA, LAGS, PENALTY = 7, 5, 0.5, 5, 10.0
FORECASTERS = closed_form_forecasters(season=SEASON, span=SPAN, alpha=ALPHA, lags=LAGS, penalty=PENALTY)


def simulate_prices(n_series: int, n_sessions: int, seed: int = 0) -> Floats:
    """Make log prices walk, each step a little against the one before; a hole in twenty, a late listing in ten."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.03, (n_series, n_sessions))
    steps[:, 1:] -= 0.1 * steps[:, :-1]
    prices = np.exp(rng.normal(0, 3, (n_series, 1)) + np.cumsum(steps, axis=1))
    prices[rng.random(prices.shape) < 0.05] = np.nan
    listed = np.where(rng.random(n_series) < 0.1, rng.integers(0, n_sessions, n_series), 0)
    return np.where(np.arange(n_sessions) < listed[:, None], np.nan, prices)


def read_prices(path: Path, n_sessions: int) -> Floats:
    """Read the newest closes of a file of many sessions, (n_series, n_sessions)."""
    from benchmarks.drift import read_history

    values = read_history(path, None).values[-n_sessions:, :, WINDOW_COLUMNS.index("close")]
    return np.ascontiguousarray(values[:, np.isfinite(values).any(axis=0)].T, dtype=np.float64)


def seasonal_naive_loop(logs: Floats) -> float:
    """Newest known of the sessions whole seasons before the forecast one."""
    phase = logs[-SEASON::-SEASON]
    known = phase[np.isfinite(phase)]
    return float(known[0] if known.size else logs[np.isfinite(logs)][-1])


def drift_loop(logs: Floats) -> float:
    """Line through the first and the last."""
    at = np.flatnonzero(np.isfinite(logs))
    slope = (logs[at[-1]] - logs[at[0]]) / max(at[-1] - at[0], 1)
    return float(logs[at[-1]] + slope * (len(logs) - at[-1]))


def moving_average_loop(logs: Floats) -> float:
    """Mean of the newest."""
    newest = logs[-SPAN:]
    return float(np.nanmean(newest) if np.isfinite(newest).any() else logs[np.isfinite(logs)][-1])


def smoothing_loop(logs: Floats) -> float:
    """Mean by age."""
    weights = (1 - ALPHA) ** np.arange(len(logs))[::-1] * np.isfinite(logs)
    return float(np.nansum(weights * logs) / weights.sum())


def ridge_loop(logs: Floats) -> float:
    """Normal equations of one series."""
    returns = np.diff(logs)
    known, filled = np.isfinite(returns), np.nan_to_num(returns)
    last = float(logs[np.isfinite(logs)][-1])
    if not filled.any() or len(filled) <= LAGS:
        return last
    lagged = np.lib.stride_tricks.sliding_window_view(filled, LAGS)[:, ::-1]
    X, y = lagged[:-1][known[LAGS:]], filled[LAGS:][known[LAGS:]]
    gram = X.T @ X + PENALTY * np.square(returns[known]).mean() * np.eye(LAGS)
    return last + float(lagged[-1] @ np.linalg.solve(gram, X.T @ y))


LOOPS: dict[str, Callable[[Floats], float]] = {
    "last_close": lambda logs: float(logs[np.isfinite(logs)][-1]),
    "seasonal_naive": seasonal_naive_loop,
    "drift": drift_loop,
    "mean": lambda logs: float(np.nanmean(logs)),
    "median": lambda logs: float(np.nanmedian(logs)),
    "moving_average": moving_average_loop,
    "exponential_smoothing": smoothing_loop,
    "ridge": ridge_loop,
}
"""Each forecaster as one would write it for one series: log prices (n_sessions,), NaN in a hole, one of them known."""


def walk_by_loop(prices: Floats, origins: range, lookback: int) -> tuple[dict[str, Floats], dict[str, float]]:
    """Forecast log prices a series and a window at a time; also give the seconds of each model."""
    forecasts, seconds = {}, {}
    logs = np.log(prices)
    for name, loop in LOOPS.items():
        started = time.perf_counter()
        forecasts[name] = np.array([
            [forecast_one(loop, series[origin + 1 - lookback : origin + 1]) for origin in origins] for series in logs
        ])  # fmt: skip
        seconds[name] = time.perf_counter() - started
    return forecasts, seconds


def forecast_one(loop: Callable[[Floats], float], logs: Floats) -> float:
    """Forecast where there is a price."""
    return loop(logs) if np.isfinite(logs).any() else float("nan")


def require_agreement(walk: Walk, by_loop: dict[str, Floats]) -> None:
    """Stop where a forecast differs from the loop's."""
    sample = len(by_loop["last_close"])
    for name, expected in by_loop.items():
        given = walk.forecasts[name][:sample] + np.log(walk.last_close[:sample])
        np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-9, err_msg=f"{name} is not its loop")


def measure_models(prices: Floats, origins: range, lookback: int, runs: int) -> dict[str, float]:
    """Return the seconds of each model alone, by one thread, in pieces as in the walk."""
    with threadpool_limits(1, user_api="blas"):
        return {
            name: min(measure_model(forecaster, prices, origins, lookback) for _ in range(runs))
            for name, forecaster in FORECASTERS.items()
        }


def measure_model(forecaster: Forecaster, prices: Floats, origins: range, lookback: int) -> float:
    """Return the seconds of one model on ready panels; it finds the newest prices itself, which the walk does once."""
    taken = 0.0
    for start in range(0, len(prices), 1000):
        panel = build_panel(prices[start : start + 1000], origins, lookback)
        started = time.perf_counter()
        forecaster(panel)
        taken += time.perf_counter() - started
    return taken


def main() -> int:
    """Walk, judge, compare with the loop, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backtest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=120, help="sessions that each window sees")
    parser.add_argument("--windows", type=int, default=7, help="newest sessions, each forecast from those before it")
    parser.add_argument("--data", type=Path, help="real closes in place of simulated ones: a file of many sessions")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=200, help="series that the loop forecasts")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    n_sessions = given.sessions + given.windows
    prices = read_prices(given.data, n_sessions) if given.data else simulate_prices(given.series, n_sessions)
    origins, taken, forecast_taken = range(given.sessions - 1, n_sessions - 1), [], []
    for _ in range(given.runs):
        started = time.perf_counter()
        walk = walk_forward(prices, origins, lookback=given.sessions, forecasters=FORECASTERS, threads=given.threads)
        forecast_taken.append(time.perf_counter() - started)
        judged = judge(walk, threads=given.threads)
        taken.append(time.perf_counter() - started)
    by_loop, loop_seconds = walk_by_loop(prices[: given.sample], origins, given.sessions)
    require_agreement(walk, by_loop)
    factor = len(prices) / len(by_loop["last_close"])
    alone = measure_models(prices, origins, given.sessions, min(given.runs, 3))
    print_models(judged, alone, {name: seconds * factor for name, seconds in loop_seconds.items()})
    measured = {
        "seconds": min(taken),
        "slowest_seconds": max(taken),
        "forecast_seconds": min(forecast_taken),
        "loop_seconds": sum(loop_seconds.values()) * factor,
        "series": len(prices),
        "forecasts": sum(int(np.isfinite(forecast).sum()) for forecast in walk.forecasts.values()),
    }
    note = f"{given.data.name if given.data else 'simulated'}; best of {given.runs} runs, {given.threads} threads"
    is_asked_size = not given.data and (given.series, given.sessions, given.windows) == (10_000, 120, 7)
    return 0 if report("backtest", measured, GOALS if is_asked_size else {}, note=note) else 1


def print_models(judged: dict[str, dict[str, float]], alone: dict[str, float], loop: dict[str, float]) -> None:
    """Print a row a model: how good, and how long it takes alone and by the loop."""
    figures = list(judged["last_close"])
    rows = [
        [name, *(f"{judged[name][figure]:.4g}" for figure in figures), f"{alone[name] * 1e3:.1f}", f"{loop[name]:.1f}"]
        for name in judged
    ]
    out.print(build_table("models", ["model", *(figure.replace("_", " ") for figure in figures), "ms", "loop s"], rows))


if __name__ == "__main__":
    sys.exit(main())
