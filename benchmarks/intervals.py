"""Do conformal intervals hold what they say, on real files, by models that were fitted earlier, and how wide are they?

DATA_coverage_80, _95        share inside, of the target, open or close, that is farthest from the level
DATA_lowest_decile, _highest_decile   80 %: share inside, over both targets and the deciles of volatility as known
                             before, of the target's own and of the closes' alike
DATA_TARGET_width_ratio, _all_width_ratio   80 %: mean width over that of plain quantiles, of each symbol's own past
                             returns (40 sessions) and of all symbols' (30), in the same cells
DATA_TARGET_young_coverage, _cold_coverage  80 %: of symbols in their first 40 sessions, and of those of them that have
                             too few returns for a volatility of their own; last close where the model was not asked
fit_seconds, lay_seconds     a calibration from 30 sessions of 10,000 symbols, and their bounds (best of the runs)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.drift import read_history
from benchmarks.model_table import FILES, build_cube
from benchmarks.report import Goal, report
from include.backtest.cohorts import DECILES, VOLATILITY_SESSIONS, measure_volatility, split_deciles
from include.backtest.heldout import HeldOut
from include.backtest.intervals import (
    CALIBRATION_SESSIONS,
    LEVELS,
    fit_calibration,
    lay_intervals,
    scale_errors,
    walk_calibrations,
)
from include.backtest.walk_forward import walk_forward
from include.console import out, show_steps
from include.lake.bars import BarCube
from include.schema import TARGETS, WINDOW_COLUMNS
from models.catalog import MODEL_NAMES

YOUNG_SESSIONS = 40
HEADS = ["data", "target", "level", "inside", "strictly", "by decile of volatility, calmest first", "by the closes'"]
HEADS += ["width", "own past: inside", "by decile", "width", "all past: inside", "by decile", "width"]
FILE_GOALS = {
    "coverage_80": Goal(at_least=0.78, at_most=0.82),
    "lowest_decile": Goal(at_least=0.75),
    "highest_decile": Goal(at_most=0.85),
}
GOALS = {f"{data}_{name}": goal for data in FILES for name, goal in FILE_GOALS.items()}
GOALS |= {"fit_seconds": Goal(at_most=0.1), "lay_seconds": Goal(at_most=0.005)}
CLOSE = WINDOW_COLUMNS.index("close")

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.bool_]
Bounds = tuple[Floats, Floats]


@dataclass(frozen=True)
class Asked:
    """What is walked."""

    model: str
    sessions: int
    origins: int
    windows: int


@dataclass(frozen=True)
class Forecast:
    """One target of the newest sessions, (n_sessions, n_symbols) each.

    Attributes
    ----------
    actual, forecast
        Log returns; the actual one wherever there was a close before, last close where the model was not asked.
    scored
        Cells that the model was asked for, which alone are calibrated on.
    judged
        Those of them in the sessions that are measured.
    young
        Cells of measured sessions within the first ones of a symbol that came during the file.
    volatility, closes_volatility
        Known before each session, of the target and of closes.
    past
        (n_sessions + VOLATILITY_SESSIONS, n_symbols), the target's log returns up to the last session but one.
    """

    actual: Floats
    forecast: Floats
    scored: Cells
    judged: Cells
    young: Cells
    volatility: Floats
    closes_volatility: Floats
    past: Floats

    def lay(self) -> Bounds:
        """Intervals of every cell, (n_levels, n_sessions, n_symbols), each session's from those before it."""
        scores = scale_errors(np.where(self.scored, self.actual, np.nan), self.forecast, self.volatility)
        laid = np.full((2, len(LEVELS), *self.actual.shape), np.nan, dtype=np.float32)
        for row, calibration in walk_calibrations(scores, self.volatility):
            if row < len(scores):
                laid[:, :, row] = lay_intervals(calibration, self.forecast[row], self.volatility[row])
        return laid[0], laid[1]

    def lay_own(self) -> Bounds:
        """Quantiles of each symbol's own returns over the sessions that its volatility is measured over."""
        return self._lay_plain(lambda past: np.sort(past, axis=0), VOLATILITY_SESSIONS)

    def lay_pooled(self) -> Bounds:
        """Quantiles of all symbols' returns over the sessions that are calibrated on, the same for all."""
        return self._lay_plain(lambda past: np.sort(past, axis=None)[:, None], CALIBRATION_SESSIONS)

    def _lay_plain(self, sort: Callable[[Floats], Floats], sessions: int) -> Bounds:
        laid = np.full((2, len(LEVELS), *self.actual.shape), np.nan, dtype=np.float32)
        for row in np.flatnonzero(self.judged.any(axis=1)):
            end = row + VOLATILITY_SESSIONS
            ordered = sort(self.past[end - sessions : end])  # NaN last
            counts = np.isfinite(ordered).sum(axis=0)
            for k, level in enumerate(LEVELS):
                low = np.floor(np.round((counts + 1) * (1 - level / 100) / 2, 9)).astype(np.int64)
                for side, rank in enumerate((low - 1, counts - low)):
                    found = np.take_along_axis(ordered, np.maximum(rank, 0)[None], axis=0)[0]
                    laid[side, k, row] = np.where(low >= 1, found, np.nan)
        return laid[0], laid[1]


def measure_returns(values: Floats, axis: int) -> Floats:
    """Log returns of a target against the close before, (n_sessions, n_symbols), the first row unknown."""
    returns = np.full(values.shape[:2], np.nan, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        returns[1:] = np.log(values[1:, :, WINDOW_COLUMNS.index(TARGETS[axis])] / values[:-1, :, CLOSE])
    return np.where(np.isfinite(returns), returns, np.nan)


def gather(cube: BarCube, held: HeldOut, forecasts: Floats, sessions: int) -> Iterator[Forecast]:
    """Give each target what is measured; only the newest `sessions` are."""
    volatility = measure_volatility(cube.values, held.origins)
    measured = (np.arange(len(held.sessions)) >= len(held.sessions) - sessions)[:, None]
    listed = cube.mask.argmax(axis=0)
    age = np.asarray(held.origins)[:, None] + 1 - listed
    young = measured & (listed > 0) & (age > 0) & (age <= YOUNG_SESSIONS)
    first = held.origins.start + 1
    for axis in range(len(TARGETS)):
        returns = measure_returns(cube.values, axis)
        actual, past = returns[first:], returns[first - VOLATILITY_SESSIONS : -1]
        forecast = np.nan_to_num(forecasts[..., axis])
        yield Forecast(
            actual,
            forecast,
            held.cells,
            held.cells & measured,
            young & np.isfinite(actual),
            volatility[..., axis],
            volatility[..., TARGETS.index("close")],
            past,
        )


def hold_share(bounds: Bounds, actual: Floats, cells: Cells, level: int) -> float:
    """Share of cells that are inside."""
    low, high = (side[level][cells] for side in bounds)
    return float(((low <= actual[cells]) & (actual[cells] <= high)).mean())


def hold_shares(bounds: Bounds, actual: Floats, cells: Cells, level: int, volatility: Floats) -> list[float]:
    """Share inside in every decile of a volatility, of the cells of all sessions together."""
    low, high = (side[level][cells] for side in bounds)
    y, codes = actual[cells], split_deciles(cells, volatility)
    inside = (low <= y) & (y <= high)
    return [float(inside[codes == decile].mean()) for decile in range(DECILES)]


def mean_width(bounds: Bounds, cells: Cells, level: int) -> float:
    """Mean width, in log return."""
    low, high = (side[level][cells] for side in bounds)
    return float((high - low).mean())


def measure_level(each: Forecast, laid: Mapping[str, Bounds], level: int) -> tuple[list[str], dict[str, float]]:
    """Give one level's cells of the table and its figures."""
    ours, plain = laid["conformal"], (laid["own"], laid["all"])
    # A quantile of a symbol's own returns takes some; widths are of the cells that have one.
    compared = each.judged & np.isfinite(laid["own"][0][level])
    low, high = (side[level][each.judged] for side in ours)
    strictly = float(((low < each.actual[each.judged]) & (each.actual[each.judged] < high)).mean())
    share = hold_share(ours, each.actual, each.judged, level)
    own, closes = (
        hold_shares(ours, each.actual, each.judged, level, unit) for unit in (each.volatility, each.closes_volatility)
    )
    row = [f"{share:.3f}", f"{strictly:.3f}", " ".join(f"{one:.3f}" for one in own), format_range(closes)]
    widths = [mean_width(bounds, compared, level) for bounds in (ours, *plain)]
    row.append(f"{widths[0]:.4f}")
    for bounds, width in zip(plain, widths[1:], strict=True):
        inside = hold_share(bounds, each.actual, compared, level)
        deciles = hold_shares(bounds, each.actual, compared, level, each.volatility)
        row += [f"{inside:.3f}", format_range(deciles), f"{width:.4f}"]
    cold = each.young & ~np.isfinite(each.volatility)
    figures = {"coverage": share, "width_ratio": widths[0] / widths[1], "all_width_ratio": widths[0] / widths[2]}
    figures |= {"lowest_decile": min(own + closes), "highest_decile": max(own + closes)}
    figures["young_coverage"] = hold_share(ours, each.actual, each.young, level)
    figures["cold_coverage"] = hold_share(ours, each.actual, cold, level)
    return row, figures


def format_range(shares: list[float]) -> str:
    """Say the lowest and the highest."""
    return f"{min(shares):.3f} to {max(shares):.3f}"


def measure_file(data: str, cube: BarCube, asked: Asked) -> tuple[list[list[str]], dict[str, float]]:
    """Walk a model over the newest sessions, then measure both targets."""
    first = len(cube.sessions) - asked.sessions - CALIBRATION_SESSIONS
    walk = walk_forward(cube, names=(asked.model,), first=first, origins=asked.origins, windows=asked.windows)
    rows: list[list[str]] = []
    found: dict[int, dict[str, dict[str, float]]] = {level: {} for level in LEVELS}
    targets = zip(TARGETS, gather(cube, walk.held, walk.forecasts[asked.model], asked.sessions), strict=True)
    for target, each in targets:
        laid = {"conformal": each.lay(), "own": each.lay_own(), "all": each.lay_pooled()}
        for k, level in enumerate(LEVELS):
            row, found[level][target] = measure_level(each, laid, k)
            rows.append([data, target, f"{level} %", *row])
    measured: dict[str, float] = {}
    for level, by_target in found.items():
        shares = [figures.pop("coverage") for figures in by_target.values()]
        measured[f"{data}_coverage_{level}"] = max(shares, key=lambda share: abs(share - level / 100))
    by_target = found[LEVELS[0]]
    measured[f"{data}_lowest_decile"] = min(figures.pop("lowest_decile") for figures in by_target.values())
    measured[f"{data}_highest_decile"] = max(figures.pop("highest_decile") for figures in by_target.values())
    for target, figures in by_target.items():
        measured |= {f"{data}_{target}_{name}": value for name, value in figures.items()}
    return rows, measured


def take_time(runs: int = 7, symbols: int = 10_000) -> dict[str, float]:
    """Best seconds of a calibration and of laying bounds."""
    rng = np.random.default_rng(0)
    scores = rng.standard_t(4, (CALIBRATION_SESSIONS, symbols)).astype(np.float32)
    volatility = rng.lognormal(-3, 1, scores.shape).astype(np.float32)
    calibration = fit_calibration(scores, volatility)
    calls: dict[str, Callable[[], object]] = {
        "fit_seconds": lambda: fit_calibration(scores, volatility, previous=calibration),
        "lay_seconds": lambda: lay_intervals(calibration, scores[-1], volatility[-1]),
    }
    measured = dict.fromkeys(calls, float("inf"))
    for _ in range(runs):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            measured[name] = min(measured[name], time.perf_counter() - started)
    return measured


def main() -> int:
    """Measure each file, print one table and one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.intervals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the real files")
    parser.add_argument("--only", nargs="*", choices=list(FILES), default=list(FILES), help="which files")
    parser.add_argument("--model", choices=MODEL_NAMES, default="dense_window")
    parser.add_argument("--sessions", type=int, default=130, help="newest sessions that are measured")
    parser.add_argument("--origins", type=int, default=3, help="fits, each before the sessions that it forecasts")
    parser.add_argument("--windows", type=int, default=100_000, help="most windows of one fit")
    given = parser.parse_args()
    asked = Asked(given.model, given.sessions, given.origins, given.windows)
    rows: list[list[str]] = []
    measured: dict[str, float] = {}
    with show_steps() as open_step:
        for data in given.only:
            line = open_step(f"Measure {data}")
            history = read_history(given.data / FILES[data], None)
            cube = build_cube(history.values, history.sessions)
            found, figures = measure_file(data, cube, asked)
            line.finish(f"{figures[f'{data}_coverage_80']:.3f} inside")
            rows += found
            measured |= figures
    out.print("\n".join(f"| {' | '.join(line)} |" for line in [HEADS, ["---"] * len(HEADS), *rows]), soft_wrap=True)
    measured |= take_time()
    goals = {figure: goal for figure, goal in GOALS.items() if figure in measured}
    return 0 if report("intervals", measured, goals) else 1


if __name__ == "__main__":
    sys.exit(main())
