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
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.prepare import prepare_home
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
from include.schema import WINDOW_COLUMNS
from include.scoring.score import score_session
from include.settings import Settings
from include.training.fit import fit_model
from include.training.record import begin_retrain
from include.training.register import register_fits


def correct_session(settings: Settings, folder: Path, day: object) -> None:
    """Let an upload correct the volume of each symbol of a session."""
    rows = bars_as_of(settings.lake, sessions=[day], columns=["symbol", "session", *WINDOW_COLUMNS])  # type: ignore[list-item]
    doubled = pa.array([None if value is None else 2 * value for value in rows["volume"].to_pylist()], pa.float64())
    rows = rows.set_column(rows.column_names.index("volume"), "volume", doubled)
    symbols = rows["symbol"].cast(pa.string())
    pa_csv.write_csv(rows.set_column(0, "symbol", symbols).rename_columns({"session": "date"}), folder / "again.csv")
    ingest_upload(settings, folder / "again.csv")


def promote_another(settings: Settings) -> None:
    """Fit another model and let it serve."""
    retrain, cube = begin_retrain(settings, "another", names=["ridge"])
    fit_model(settings, retrain, "ridge", cube=cube)
    version = register_fits(settings, retrain, say=lambda said: None)["ridge"]
    promote_version(settings, version, who="benchmark", why="to be another")


def main() -> int:
    """Prepare a home, score its newest sessions, change what can change, replay, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=30, help="how many are scored and replayed")
    parser.add_argument("--history", type=int, default=120, help="how many the exchange has")
    parser.add_argument("--model", default="bigru")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, show_steps() as open_step:
        size = {"symbols": given.symbols, "sessions": given.history}
        settings = prepare_home(Path(home), open_step, live=1, model=given.model, **size).settings
        days = list_sessions(open_bars(settings.lake))[-given.sessions :]
        line = open_step("Score")
        for done, day in enumerate(days, start=1):
            score_session(settings, day, run_id="benchmark")
            line.update(done, len(days), str(day))
        line.finish(f"{len(days)} sessions")
        line = open_step("Correct, compact, promote")
        correct_session(settings, Path(home), days[len(days) // 2])
        maintain_lake(settings)
        promote_another(settings)
        line.finish("done")
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
    }
    return 0 if report("replay", measured, {"identical": Goal(at_least=rows)}) else 1


if __name__ == "__main__":
    sys.exit(main())
