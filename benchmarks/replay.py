"""Sessions that were scored, made again from what their runs were pinned to and compared to the bit.

rows       forecasts that were replayed
identical  of them, equal to the bit in every column
seconds    of the replay, all sessions together
Between scoring and replay a correction of a scored session arrives, the lake is compacted and another version is
promoted; none of it may change a replay.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.prepare import LAST_SESSION
from benchmarks.report import Goal, report
from include.audit.replay import replay_runs
from include.console import show_steps
from include.ingest.ingest import ingest_upload
from include.lake.asof import bars_as_of
from include.lake.bars import open_bars
from include.lake.files import list_sessions
from include.lake.maintain import maintain_lake
from include.lake.runs import list_runs
from include.registry.promote import promote_version
from include.schema import PRICES
from include.scoring.score import score_session
from include.settings import Settings
from include.training.fit import fit_model
from include.training.record import begin_retrain
from include.training.register import register_fits


def write_history(path: Path, *, symbols: int, sessions: int) -> None:
    """Write random walks as an upload: each symbol in each session, so that each run has two rows of all of them."""
    rng = np.random.default_rng(7)
    gap, course = rng.normal(0, 0.005, (sessions, symbols)), rng.normal(0, 0.02, (sessions, symbols))
    close = 100 * np.exp((gap + course).cumsum(axis=0))
    opened = close / np.exp(course)
    low, high = np.minimum(opened, close), np.maximum(opened, close)
    days = np.arange(sessions)[::-1]
    columns = {
        "symbol": np.tile([f"S{number:05}" for number in range(symbols)], sessions),
        "date": np.repeat(np.datetime64(LAST_SESSION) - days, symbols),
        **{"open": opened.ravel(), "high": high.ravel(), "low": low.ravel(), "close": close.ravel()},
        "volume": rng.lognormal(10, 1, close.size),
    }
    pq.write_table(pa.table(columns), path)


def correct_session(settings: Settings, path: Path, day: date) -> int:
    """Let an upload correct the volume of each symbol of a session; return how many rows it changed."""
    rows = bars_as_of(settings.lake, sessions=[day], columns=["symbol", "session", *PRICES, "volume"])
    doubled = rows.set_column(rows.num_columns - 1, "volume", pc.multiply(rows["volume"], 2.0))
    pq.write_table(doubled.rename_columns(["symbol", "date", *PRICES, "volume"]), path)
    return ingest_upload(settings, path).restated


def fit_and_promote(settings: Settings, name: str) -> None:
    """Fit a model and let it serve."""
    retrain, cube = begin_retrain(settings, f"benchmark-{name}", names=[name])
    fit_model(settings, retrain, name, cube=cube)
    version = register_fits(settings, retrain, say=lambda said: None)[name]
    promote_version(settings, version, who="benchmark", why="to be measured")


def main() -> int:
    """Prepare a home, score its newest sessions, change what can change, replay, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=30, help="how many are scored and replayed")
    parser.add_argument("--history", type=int, default=120, help="how many there are")
    parser.add_argument("--model", default="bigru")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, show_steps() as open_step:
        home = Path(folder)
        settings = Settings(home=home / "home", train_windows=50_000, holdout_sessions=20, _env_file=None)
        line = open_step("Load the history")
        write_history(home / "history.parquet", symbols=given.symbols, sessions=given.history)
        accepted = ingest_upload(settings, home / "history.parquet", on_progress=line.update).accepted
        line.finish(f"{accepted:,} bars")
        line = open_step(f"Train {given.model}")
        fit_and_promote(settings, given.model)
        line.finish("serves")
        days = list_sessions(open_bars(settings.lake))[-given.sessions :]
        line = open_step("Score")
        for done, day in enumerate(days, start=1):
            score_session(settings, day, run_id="benchmark")
            line.update(done, len(days), str(day))
        line.finish(f"{len(days)} sessions")
        line = open_step("Correct, compact, promote")
        corrected = correct_session(settings, home / "corrected.parquet", days[len(days) // 2])
        maintain_lake(settings)
        fit_and_promote(settings, "ridge" if given.model != "ridge" else "last_close")
        line.finish(f"{corrected:,} bars corrected")
        line = open_step("Replay")
        runs, started = list_runs(settings.lake), time.perf_counter()
        replays = replay_runs(settings.model_copy(update={"universe_sessions": 20}), runs, tell=line.update)
        seconds = time.perf_counter() - started
        line.finish(f"{len(replays)} runs")
    rows = sum(each.rows for each in replays)
    measured = {
        "rows": rows,
        "identical": sum(each.identical for each in replays),
        "seconds": seconds,
        "sessions": len(replays),
        "corrected_bars": corrected,
    }
    expected = 2 * given.symbols * given.sessions
    return 0 if report("replay", measured, {name: Goal(at_least=expected) for name in ("rows", "identical")}) else 1


if __name__ == "__main__":
    sys.exit(main())
