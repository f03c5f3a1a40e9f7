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
    """Fit once on the sessions before the newest; it keeps no more of each series than its features need."""
    forecaster = MLForecast(
        models=[LinearRegression()],
        freq="D",
        lags=list(range(1, 10)),
        lag_transforms={1: [RollingStd(40)]},
        target_transforms=[Differences([1])],
        num_threads=2,
    )
    history = pd.concat([read_session(path) for path in files], ignore_index=True)
    return forecaster.fit(history, prediction_intervals=PredictionIntervals(n_windows=2, h=1), keep_last_n=45)


def forecast(forecaster: MLForecast, newest: Path, target: Path) -> int:
    """Take the newest session in, forecast the next with its intervals, write the file and put it in place."""
    forecaster.update(read_session(newest))
    found = forecaster.predict(1, level=[80, 95])
    for name in found.columns.drop(["unique_id", "ds"]):
        found[name] = np.exp(found[name])
    part = target.with_suffix(".part")
    found.to_parquet(part, index=False)
    part.replace(target)
    return len(found)


def main() -> None:
    """Print the seconds of each run, the first of which is not counted, and the rows of one."""
    lake, runs = Path(sys.argv[1]), int(sys.argv[2])
    files = sorted(lake.glob("bars/session=*/*.parquet"))[-60:]
    kept, target = lake.parent / "mlforecast", lake.parent / "mlforecast.parquet"
    fit(files[:-1]).save(kept)
    forecasting, whole, rows = [], [], 0
    for _ in range(runs + 1):
        started = time.perf_counter()
        forecaster = MLForecast.load(kept)
        loaded = time.perf_counter()
        rows = forecast(forecaster, files[-1], target)
        forecasting.append(time.perf_counter() - loaded)
        forecaster.save(lake.parent / "mlforecast-after")
        whole.append(time.perf_counter() - started)
    said = {"mlforecast_seconds": forecasting[1:], "mlforecast_task_seconds": whole[1:], "rows": rows}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
