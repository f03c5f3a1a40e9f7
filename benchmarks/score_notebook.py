"""One forecast a symbol as a notebook makes it: a pandas loop over symbols, a scaler each, windows of five sessions.

The thirteen features are those of a forecaster of coins from 2018: open, high, low, close, where the close lies between
low and high, their spread, the first difference of each, and the log of the shares. The network is a bidirectional GRU
of as many units as our own, its weights as they begin: what it forecasts does not count here.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from include.lake.asof import bars_as_of
from include.lake.bars import newest_session, open_bars, sessions_up_to
from include.settings import Settings

SEEN = 5
HISTORY = 60
"""Sessions that each symbol's scaler is fitted on, as many as decide who is in the universe."""


def build_features(bars: pd.DataFrame) -> pd.DataFrame:
    """Build the features of one symbol, a row a session, oldest first."""
    found = bars[["open", "high", "low", "close"]].copy()
    found["spread"] = bars["high"] - bars["low"]
    found["close_ratio"] = ((bars["close"] - bars["low"]) / found["spread"]).where(found["spread"] != 0, 0.0)
    found = found[["open", "high", "low", "close", "close_ratio", "spread"]]
    for name in list(found.columns):
        found[f"v_{name}"] = found[name].diff().fillna(0.0)
    found["log_shares"] = np.log(np.ceil(bars["market_cap"] / bars["close"]))
    return found


def build_window(bars: pd.DataFrame) -> tuple[npt.NDArray[np.float32], Any]:
    """Give the newest window of one symbol, (1, 5, 13), and the scaler that its forecast is read by."""
    from sklearn.preprocessing import StandardScaler

    features = build_features(bars)
    scalers = {}
    for name in features.columns.drop("log_shares"):
        scalers[name] = StandardScaler().fit(features[[name]].to_numpy())
        features[name] = scalers[name].transform(features[[name]].to_numpy())[:, 0]
    features = features.replace([np.inf, -np.inf], 0.0)
    return features.to_numpy(dtype=np.float32)[None, -SEEN:], scalers["v_open"]


def build_network() -> Any:
    """Build the network of such a notebook."""
    from models.keras_runtime import keras, prepare_keras

    prepare_keras(seed=7, threads=2)
    layers = [keras.Input((SEEN, 13)), keras.layers.Bidirectional(keras.layers.GRU(16)), keras.layers.Dense(1)]
    return keras.Sequential(layers)


def read_frame(settings: Settings) -> pd.DataFrame:
    """Read the newest sessions as one frame."""
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, newest_session(settings.lake), count=HISTORY)
    columns = ["session", "symbol", "open", "high", "low", "close", "volume", "market_cap"]
    frame: pd.DataFrame = bars_as_of(settings.lake, sessions=sessions, columns=columns).to_pandas()
    return frame


def measure_notebook(settings: Settings, *, symbols: int, sample: int) -> dict[str, float]:
    """Return the seconds for all symbols, the loop over a sample of them scaled up.

    notebook_seconds is the loop with all windows given to the network at once, notebook_each_seconds the loop that asks
    the network once a symbol.
    """
    network = build_network()
    network.predict(np.zeros((1, SEEN, 13), dtype=np.float32), verbose=0)
    started = time.perf_counter()
    frame = read_frame(settings)
    names = frame["symbol"].cat.categories[:sample]
    chosen = frame[frame["symbol"].isin(names)].sort_values(["symbol", "session"])
    read = time.perf_counter() - started
    build_window(chosen[chosen["symbol"] == names[0]])  # what it imports is not counted
    started = time.perf_counter()
    windows = [build_window(bars)[0] for _, bars in chosen.groupby("symbol", observed=True)]
    built = time.perf_counter() - started
    assert len(windows) == sample
    started = time.perf_counter()
    for window in windows:
        network.predict(window, verbose=0)
    asked = time.perf_counter() - started
    every = np.resize(np.concatenate(windows), (symbols, SEEN, 13))
    started = time.perf_counter()
    network.predict(every, batch_size=4096, verbose=0)
    share, at_once = symbols / sample, time.perf_counter() - started
    return {
        "notebook_seconds": read + built * share + at_once,
        "notebook_each_seconds": read + (built + asked) * share,
    }
