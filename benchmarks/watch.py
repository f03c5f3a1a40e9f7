"""The watch over realised forecasts: how long it takes, how often it is wrong, and what it finds.

seconds            10,000 symbols x 90 settled sessions, two targets: outcomes read, signals measured and judged, the
                   newest bars held against a drift reference (best of the runs); cpu_seconds: of that run
false_episodes     over the calm sessions of each exchange, walked forward a session at a time; every episode is false
found_share        of the planted faults that must be found within `WITHIN` sessions, the least of them

Without --data the exchanges are simulated, three seeds. The forecasts are ridge's, refitted twice, with the intervals
that a backtest lays. The inputs' signal is judged by benchmarks.drift.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.drift import read_history
from benchmarks.report import Goal, report
from include.backtest.cohorts import measure_volatility
from include.backtest.intervals import walk_intervals
from include.backtest.walk_forward import walk_forward
from include.console import build_table, out
from include.ingest.ingest import ingest_upload
from include.lake.bars import BarCube, open_bars, read_cube
from include.lake.data_files import commit_files, write_file
from include.lake.files import list_sessions
from include.lake.tables import OUTCOMES
from include.market.exchange import simulate_exchange, write_exchange
from include.monitoring.breaches import JUDGED_SESSIONS, WATCHED_SESSIONS, Breach, judge_signals
from include.monitoring.signals import COLUMNS, measure_signals
from include.monitoring.skill import settled_sessions
from include.monitoring.watch import read_signals
from include.quality.drift import build_reference
from include.schema import LEVELS, TARGETS, WINDOW_COLUMNS
from include.settings import Settings

GOALS = {"seconds": Goal(at_most=2.0), "false_episodes": Goal(at_most=0), "found_share": Goal(at_least=1.0)}

SYMBOLS = 10_000
SEEDS, SIMULATED_SYMBOLS, SIMULATED_SESSIONS = (1, 2, 3), 400, 160
WITHIN = 10
WARM = 30
EVERY = 15

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scene:
    """Forecasts of a history and what came; arrays (n_sessions, n_symbols, 2), intervals (2 targets, levels, ...)."""

    name: str
    sessions: list[date]
    actual: Floats
    forecast: Floats
    volatility: Floats
    lower: Floats
    upper: Floats


def read_scene(name: str, values: Floats, sessions: list[date], judged: int) -> Scene:
    """Forecast the newest sessions of a cube (n_sessions, n_symbols, 6)."""
    symbols = np.arange(values.shape[1]).astype(str).astype(object)
    cube = BarCube(values, sessions, symbols, np.zeros(0), np.zeros(0, dtype=np.int64), 1)
    walk = walk_forward(cube, names=["ridge"], first=len(sessions) - judged, origins=3, windows=150_000)
    volatility = measure_volatility(cube.values, walk.held.origins)
    forecast, actual = walk.forecasts["ridge"], walk.held.actual
    bounds = [walk_intervals(actual[..., at], forecast[..., at], volatility[..., at]) for at in range(len(TARGETS))]
    lower, upper = (np.stack(side) for side in zip(*bounds, strict=True))
    return Scene(name, walk.held.sessions, actual, forecast, volatility, lower, upper)


def simulate_scene(seed: int) -> Scene:
    """Forecast a simulated exchange."""
    exchange = simulate_exchange(
        symbols=SIMULATED_SYMBOLS,
        sessions=2 * SIMULATED_SESSIONS,
        calendar="24/7",
        seed=seed,
        last_session=date(2024, 12, 31),
    )
    values = np.stack([getattr(exchange, name) for name in WINDOW_COLUMNS], axis=-1).astype(np.float32)
    values[~exchange.published] = np.nan
    return read_scene(f"simulated, seed {seed}", values, list(exchange.sessions), SIMULATED_SESSIONS)


def spoil(scene: Scene, start: int, fault: str) -> Scene:
    """Spoil the forecasts of the sessions from `start` on; intervals stay as wide, around what is then forecast."""
    forecast, lower, upper = scene.forecast.copy(), scene.lower.copy(), scene.upper.copy()
    rows = slice(start, None)
    if fault == "sign flipped":
        forecast[rows] *= -1
    elif fault == "forecasts of other symbols":
        forecast[rows] = np.roll(forecast[rows], 1, axis=1)
    elif fault == "forecasts twice as large":
        forecast[rows] *= 2
    width = {"intervals half as wide": 0.5, "intervals 30 % narrower": 0.7}.get(fault, 1.0)
    for at in range(len(TARGETS)):
        for side in (lower, upper):
            off = side[at][:, rows] - scene.forecast[rows, :, at]
            side[at][:, rows] = forecast[rows, :, at] + width * off
    return Scene(scene.name, scene.sessions, scene.actual, forecast, scene.volatility, lower, upper)


FAULTS = {
    "sign flipped": True,
    "forecasts of other symbols": True,
    "forecasts twice as large": True,
    "intervals half as wide": True,
    "intervals 30 % narrower": False,
}
"""Each fault, and whether the simulated exchange must show it; the others show where the sight ends."""


def build_outcomes(scene: Scene, first: int, end: int) -> pa.Table:
    """Build the outcomes of some sessions, `signals.COLUMNS`."""
    parts = [_build_target(scene, slice(first, end), at) for at in range(len(TARGETS))]
    return pa.concat_tables(parts).select(list(COLUMNS))


def _build_target(scene: Scene, rows: slice, at: int) -> pa.Table:
    actual, said, volatility = (
        each[rows, :, at].astype(np.float64) for each in (scene.actual, scene.forecast, scene.volatility)
    )
    known = np.isfinite(actual) & np.isfinite(said)
    place = np.nonzero(known)[0]
    columns: dict[str, Any] = {
        "target_session": pa.array(np.array(scene.sessions[rows], dtype="datetime64[D]")[place]),
        "horizon": np.ones(len(place), dtype=np.int64),
        "target": pa.array([TARGETS[at]]).take(pa.array(np.zeros(len(place), dtype=np.int64))),
        "status": pa.array(["scored"]).take(pa.array(np.zeros(len(place), dtype=np.int64))),
        "error": (actual - said)[known],
        "last_close_error": actual[known],
        "volatility": pa.array(volatility[known], from_pandas=True),
        "in_sample": np.zeros(len(place), dtype=bool),
        "model_version": np.ones(len(place), dtype=np.int64),
    }
    for level, low, high in zip(LEVELS, scene.lower[at][:, rows], scene.upper[at][:, rows], strict=True):
        inside = (actual >= low) & (actual <= high)
        columns[f"inside_{level}"] = pa.array(inside[known], mask=~np.isfinite(low[known]))
    return pa.table(columns)


def walk_watch(scene: Scene, first: int, end: int) -> Iterator[tuple[int, Breach]]:
    """Judge sessions `first` to before `end` one after the other, as the DAG does; give each episode that begins."""
    breaches: list[Breach] = []
    for at in range(first, end):
        oldest = max(0, at + 1 - WATCHED_SESSIONS)
        rows = build_outcomes(scene, oldest, at + 1)
        signals = measure_signals(rows, scene.sessions[oldest : at + 1], recent=JUDGED_SESSIONS)
        found = judge_signals(signals, breaches)
        breaches = found.breaches
        yield from ((at, each) for each in found.began)


def find_fault(scene: Scene, start: int, fault: str) -> int | None:
    """Return after how many sessions a fault was found; None where it was not within `WITHIN`."""
    spoilt = spoil(scene, start, fault)
    found = next(walk_watch(spoilt, start, min(start + WITHIN, len(scene.sessions))), None)
    return found[0] - start + 1 if found else None


def measure_scene(scene: Scene) -> tuple[int, int, dict[str, list[int | None]]]:
    """Give the sessions that were walked, the false episodes, and when each trial of each fault was found."""
    first, end = WARM + JUDGED_SESSIONS + 25, len(scene.sessions)
    episodes = list(walk_watch(scene, first, end))
    for at, each in episodes:
        out.print(f"{scene.name}: {scene.sessions[at]} {each.signal} {each.value:.3f} > {each.limit:.3f}")
    starts = range(first, end - WITHIN, EVERY)
    return end - first, len(episodes), {fault: [find_fault(scene, at, fault) for at in starts] for fault in FAULTS}


def measure_speed(runs: int) -> float:
    """Time a watch over 10,000 symbols and 90 sessions, best of the runs."""
    with tempfile.TemporaryDirectory(prefix="closecast-watch-") as folder:
        settings = Settings(home=Path(folder), _env_file=None)
        last = date(2024, 12, 31)
        exchange = simulate_exchange(symbols=SYMBOLS, sessions=60, calendar="24/7", seed=1, last_session=last)
        ingest_upload(settings, write_exchange(exchange, Path(folder) / "exchange", live_sessions=0)[0])
        bars = open_bars(settings.lake)
        cube = read_cube(bars, list_sessions(bars))
        reference = build_reference(cube.values, cube.sessions)
        _write_outcomes(settings, last)
        seconds = []
        for _ in range(runs):
            started = time.perf_counter()
            signals = read_signals(settings, settled_sessions(settings)[-WATCHED_SESSIONS:], reference)
            judge_signals(signals, [])
            seconds.append(time.perf_counter() - started)
        return min(seconds)


def _write_outcomes(settings: Settings, last: date) -> None:
    rng = np.random.default_rng(0)
    symbols = np.sort(np.char.mod("sim%04d", np.arange(SYMBOLS)))
    n = 2 * SYMBOLS
    files = []
    for back in range(WATCHED_SESSIONS):
        session = last - timedelta(days=back)
        moved, said = rng.normal(0, 0.03, n), rng.normal(0, 0.01, n)
        columns: dict[str, Any] = {
            "as_of": [session - timedelta(days=1)] * n,
            "target_session": [session] * n,
            "symbol": np.repeat(symbols, 2),
            "target": [*TARGETS] * SYMBOLS,
            "horizon": np.ones(n, dtype=np.int64),
            "status": ["scored"] * n,
            "error": moved - said,
            "last_close_error": moved,
            "volatility": np.full(n, 0.02),
            "scaled_error": (moved - said) / 0.02,
            "is_hit": moved * said > 0,
            "inside_80": np.abs(moved - said) < 0.04,
            "inside_95": np.abs(moved - said) < 0.06,
            "in_sample": np.zeros(n, dtype=bool),
            "model_kind": ["ridge"] * n,
            "run_id": ["run"] * n,
            "settled_at": pa.array([0] * n).cast(OUTCOMES.schema.field("settled_at").type),
        }
        ones = dict.fromkeys(("predicted", "last_close", "actual", "model_version", "bars_version"), np.ones(n))
        arrays = [pa.array((columns | ones)[field.name]).cast(field.type) for field in OUTCOMES.schema]
        files.append(write_file(settings.lake, OUTCOMES, session, pa.table(arrays, schema=OUTCOMES.schema)))
    commit_files(settings.lake, OUTCOMES, files)


def main() -> int:
    """Time the watch, walk the exchanges, plant the faults, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a file of many sessions, as an upload, in place of the simulated")
    parser.add_argument("--sessions", type=int, default=300, help="newest sessions of it")
    parser.add_argument("--symbols", type=int, default=1000, help="at most, evenly spread")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if given.data:
        history = read_history(given.data, None)
        values, sessions = (each[-given.sessions - 300 :] for each in (history.values, history.sessions))
        values = values[:, np.isfinite(values[..., 0]).any(axis=0)]
        step = -(-values.shape[1] // given.symbols)
        scenes = [read_scene(given.data.name, values[:, ::step], sessions, given.sessions)]
    else:
        scenes = [simulate_scene(seed) for seed in SEEDS]
    walked, false, trials = 0, 0, {fault: list[int | None]() for fault in FAULTS}
    for scene in scenes:
        sessions_walked, episodes, found = measure_scene(scene)
        walked, false = walked + sessions_walked, false + episodes
        for fault, hits in found.items():
            trials[fault] += hits
    shares = {fault: sum(hit is not None for hit in hits) / len(hits) for fault, hits in trials.items()}
    rows = [
        [
            fault,
            "yes" if must else "",
            f"{100 * shares[fault]:.0f} %",
            f"{np.median([hit for hit in trials[fault] if hit] or [np.nan]):.0f}",
        ]
        for fault, must in FAULTS.items()
    ]
    counts = len(trials["sign flipped"])
    columns = ["fault", "must be found", f"found within {WITHIN}", "sessions, median"]
    out.print(build_table(f"faults, {counts} trials each", columns, rows))
    measured = {
        "seconds": measure_speed(given.runs),
        "false_episodes": float(false),
        "sessions": float(walked),
        "found_share": min(shares[fault] for fault, must in FAULTS.items() if must),
    }
    note = given.data.name if given.data else f"{len(scenes)} simulated exchanges"
    goals = {"seconds": GOALS["seconds"]} if given.data else GOALS  # a real market is never calm by construction
    return 0 if report("watch", measured, goals, note=note) else 1


if __name__ == "__main__":
    sys.exit(main())
