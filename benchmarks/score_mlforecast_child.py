"""What runs in mlforecast's own environment: update and predict, from the lake's files to a Parquet file in place.

Imports nothing of Closecast, and is called as a file. Every symbol is two series, its open and its close.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingStd
from mlforecast.target_transforms import Differences
from mlforecast.utils import PredictionIntervals
from sklearn.linear_model import LinearRegression

SEEN = 45
"""Sessions that its features look back on: the deviation of forty differences, and some to spare."""

FITTED = 60
"""Sessions that it is fitted on."""


def read_session(path: Path) -> pd.DataFrame:
    """Read one session's file into long rows: unique_id, ds, y (the log of the price)."""
    bars = pd.read_parquet(path, columns=["symbol", "open", "close"], partitioning=None)
    day = pd.Timestamp(path.parent.name.removeprefix("session="))
    parts = [
        pd.DataFrame({"unique_id": bars["symbol"] + f"/{name}", "ds": day, "y": np.log(bars[name])})
        for name in ("open", "close")
    ]
    return pd.concat(parts, ignore_index=True)


def fit(files: list[Path]) -> MLForecast:
    """Fit once; it keeps no more of each series than its features need."""
    forecaster = MLForecast(
        models=[LinearRegression()],
        freq="D",
        lags=list(range(1, 10)),
        lag_transforms={1: [RollingStd(40)]},
        target_transforms=[Differences([1])],
        num_threads=2,
    )
    history = pd.concat([read_session(path) for path in files], ignore_index=True)
    return forecaster.fit(history, prediction_intervals=PredictionIntervals(n_windows=2, h=1), keep_last_n=SEEN)


def forecast(forecaster: MLForecast, newest: list[Path], target: Path) -> int:
    """Take the newest sessions in, forecast the next with its intervals, write the file and put it in place."""
    forecaster.update(pd.concat([read_session(path) for path in newest], ignore_index=True))
    found = forecaster.predict(1, level=[80, 95])
    for name in found.columns.drop(["unique_id", "ds"]):
        found[name] = np.exp(found[name])
    part = target.with_suffix(".part")
    found.to_parquet(part, index=False)
    part.replace(target)
    return len(found)


def time_files(fitted: Path, newest: list[Path], target: Path) -> float:
    """Give the seconds from the files of all sessions that its features look back on; it was fitted on those before."""
    forecaster = MLForecast.load(fitted)
    started = time.perf_counter()
    forecast(forecaster, newest, target)
    return time.perf_counter() - started


def time_newest(kept: Path, newest: Path, target: Path) -> tuple[float, float]:
    """Give the seconds from one session's file and its own state of the others: in memory, and loaded and saved."""
    started = time.perf_counter()
    forecaster = MLForecast.load(kept)
    loaded = time.perf_counter()
    forecast(forecaster, [newest], target)
    done = time.perf_counter()
    forecaster.save(kept.with_name("mlforecast-after"))
    return done - loaded, time.perf_counter() - started


def main() -> None:
    """Print the seconds of each run, the first of which is not counted, and the rows of one."""
    lake, runs = Path(sys.argv[1]), int(sys.argv[2])
    files = sorted(lake.glob("bars/session=*/*.parquet"))
    home, target = lake.parent, lake.parent / "mlforecast.parquet"
    before, kept = home / "mlforecast-before", home / "mlforecast-kept"
    fit(files[-FITTED - SEEN : -SEEN]).save(before)
    fit(files[-FITTED - 1 : -1]).save(kept)
    whole = [time_files(before, files[-SEEN:], target) for _ in range(runs + 1)]
    newest = [time_newest(kept, files[-1], target) for _ in range(runs + 1)]
    said = {
        "mlforecast_seconds": whole[1:],
        "mlforecast_newest_seconds": [alone for alone, _ in newest[1:]],
        "mlforecast_task_seconds": [task for _, task in newest[1:]],
        "rows": len(pd.read_parquet(target)),
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
