"""How often the promotion gate errs on losses that real models made on the coins, and finds one that is 2 % better.

Ten linear models (`ridge`, `linear_sgd`), fitted on different samples of the older sessions, forecast the newest 800.
Two of them at a time are the champion and the challenger: the daily difference of their losses, made equal on average,
in blocks of 20 sessions on average drawn from all 800. So it has the real one's spread, tails and dependence, and no
merit. Made equal over all 800 but taken as they follow each other, two models do differ for months; that is not chance.

equal_N, better_N   share of pairs whose challenger the test calls better, N held-out sessions
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Goal, report
from benchmarks.study_data import read_file
from include.backtest.heldout import combine_losses, forecast_held_out, hold_out
from include.backtest.walk_forward import sample_before
from include.console import build_table, out
from include.gate.paired import compare_pairs
from include.gate.verdict import ALPHA
from include.lake.bars import BarCube
from models.catalog import build_model

HELD_OUT, BLOCK, MERIT = 800, 20, 0.02
SESSIONS = (20, 40, 60, 120)
KINDS, SAMPLES, WINDOWS = ("ridge", "linear_sgd"), 5, 4000
GOALS = {f"equal_{n}": Goal(at_most=0.05) for n in SESSIONS}

Array = npt.NDArray[np.float64]


def measure_losses(cube: BarCube, folder: Path) -> Array:
    """Give each model's mean loss by session, (n_models, n_sessions)."""
    cut = len(cube.sessions) - HELD_OUT
    held, losses = hold_out(cube, cut), []
    for name in KINDS:
        for seed in range(SAMPLES):
            model, graph = build_model(name), folder / f"{name}_{seed}.onnx"
            windows = sample_before(cube.values, cut, lookback=model.lookback, limit=WINDOWS, seed=seed)
            assert windows.targets is not None  # sample_before always gives them
            model.fit(windows.windows, windows.targets, seed=seed, threads=1).save_onnx(graph)
            forecasts = forecast_held_out(graph, cube, held, lookback=model.lookback, threads=1)
            losses.append(np.nanmean(combine_losses(held, forecasts), axis=1))
    return np.stack(losses)


def draw_blocks(rng: np.random.Generator, n_sessions: int, count: int) -> npt.NDArray[np.int64]:
    """Positions of sessions, in blocks of geometric length wrapped round the end."""
    begins = rng.random(count) < 1 / BLOCK
    begins[0] = True
    starts = rng.integers(n_sessions, size=count)
    last = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
    return np.asarray((starts[last] + np.arange(count) - last) % n_sessions)


def judge_pairs(losses: Array, rng: np.random.Generator, *, pairs: int, sessions: int, merit: float) -> float:
    """Give the share of pairs whose challenger is called better."""
    better = 0
    for _ in range(pairs):
        champion, challenger = rng.choice(losses, 2, replace=False)
        differences = champion - challenger
        differences = differences - differences.mean() + merit * champion.mean()
        drawn = differences[draw_blocks(rng, len(differences), sessions)]
        found = compare_pairs(drawn[:, None], alpha=ALPHA, reps=999, block=None, seed=1)
        better += bool(found.p_values[0] <= ALPHA)
    return better / pairs


def main() -> int:
    """Fit, judge pairs for each number of sessions, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate_coins",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="the coins' file")
    parser.add_argument("--folder", type=Path, required=True, help="where the graphs are kept")
    parser.add_argument("--pairs", type=int, default=2000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    losses, rng = measure_losses(read_file(given.data), given.folder), np.random.default_rng(given.seed)
    measured: dict[str, float] = {}
    for sessions in SESSIONS:
        for kind, merit in (("equal", 0.0), ("better", MERIT)):
            share = judge_pairs(losses, rng, pairs=given.pairs, sessions=sessions, merit=merit)
            measured[f"{kind}_{sessions}"] = share
    rows = [[str(n), *(f"{measured[f'{kind}_{n}']:.3f}" for kind in ("equal", "better"))] for n in SESSIONS]
    out.print(build_table("share called better", ["sessions", "equal", "2 % better"], rows))
    measured["pairs"] = given.pairs
    return 0 if report("gate_coins", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
