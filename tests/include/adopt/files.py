"""A small network and its scalers as Keras 2.2 and scikit-learn 0.20 would have written them, and their arithmetic."""

from __future__ import annotations

import copy
import io
import json
import pickle
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import h5py
import numpy as np

from include.adopt.crypto_open import COLUMNS

UNITS, HIDDEN = 4, 3
SYMBOLS = ("AAA", "BBB")
HYPERS = {
    "dat_cols": ["open", "high", "low", "close", "close_ratio", "spread"],
    "feat_cols": [*COLUMNS, "log_shares"],
    "target_col": "v_open",
    "batch_size": 32,
    "seq_len": 5,
}
_MODULES = {
    "_reconstruct": "numpy.core.multiarray",
    "scalar": "numpy.core.multiarray",
    "ndarray": "numpy",
    "dtype": "numpy",
    "StandardScaler": "sklearn.preprocessing.data",
}


class StandardScaler:
    """Named in a pickle as scikit-learn 0.20's."""

    def __init__(self, mean: float, scale: float) -> None:
        self.with_mean = self.with_std = True
        self.n_samples_seen_ = np.int64(100)
        self.mean_, self.scale_, self.var_ = np.array([mean]), np.array([scale]), np.array([scale**2])


class _Writer(pickle._Pickler):
    def save_global(self, obj: Any, name: str | None = None) -> None:
        self.write(f"c{_MODULES[obj.__name__]}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    # Libraries that are imported by other tests put their own ways into the table that all picklers share.
    dispatch: ClassVar[dict[Any, Any]] = {**pickle._Pickler.dispatch, type: save_global, FunctionType: save_global}


def make_scalers(symbols: tuple[str, ...] = SYMBOLS) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    made = {s: {c: StandardScaler(rng.normal(), rng.uniform(0.5, 2.0)) for c in COLUMNS} for s in symbols}
    for by_column in made.values():
        by_column["v_open"].mean_ += 3  # so that the next open is positive
    return made | {"model_hypers": copy.deepcopy(HYPERS)}


def write_scalers(path: Path, values: Any = None) -> Path:
    writer = _Writer(buffer := io.BytesIO(), protocol=3)
    writer.dump(make_scalers() if values is None else values)
    path.write_bytes(buffer.getvalue())
    return path


def make_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {
        f"bi/bi/{way}_gru/{part}:0": shape
        for way in ("forward", "backward")
        for part, shape in (
            ("kernel", (13, 3 * UNITS)),
            ("recurrent_kernel", (UNITS, 3 * UNITS)),
            ("bias", (3 * UNITS,)),
        )
    }
    shapes |= {f"norm/norm/{part}:0": (2 * UNITS,) for part in ("gamma", "beta", "moving_mean")}
    shapes |= {"first/first/kernel:0": (2 * UNITS, HIDDEN), "first/first/bias:0": (HIDDEN,)}
    shapes |= {"second/second/kernel:0": (HIDDEN, 1), "second/second/bias:0": (1,)}
    made = {name: rng.normal(scale=0.4, size=shape).astype(np.float32) for name, shape in shapes.items()}
    return made | {"norm/norm/moving_variance:0": rng.uniform(0.5, 2, 2 * UNITS).astype(np.float32)}


def make_config() -> dict[str, Any]:
    gru = {"name": "gru", "units": UNITS, "activation": "tanh", "recurrent_activation": "hard_sigmoid"}
    gru |= {"use_bias": True, "reset_after": False, "return_sequences": False, "return_state": False}
    gru |= {"go_backwards": False, "stateful": False, "dropout": 0.1, "recurrent_dropout": 0.1}
    layers = [
        ("InputLayer", "in", {"batch_input_shape": [None, 5, 13], "dtype": "float32"}),
        ("Bidirectional", "bi", {"layer": {"class_name": "GRU", "config": gru}, "merge_mode": "concat"}),
        ("BatchNormalization", "norm", {"axis": -1, "epsilon": 0.001, "center": True, "scale": True}),
        ("Dropout", "drop", {"rate": 0.2}),
        ("Dense", "first", {"units": HIDDEN, "activation": "tanh", "use_bias": True}),
        ("Dense", "second", {"units": 1, "activation": "linear", "use_bias": True}),
    ]
    chain = [
        {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": []}
        for kind, name, config in layers
    ]
    for before, layer in pairwise(chain):
        layer["inbound_nodes"] = [[[before["name"], 0, 0, {}]]]
    ends = {"input_layers": [["in", 0, 0]], "output_layers": [["second", 0, 0]]}
    return {"class_name": "Model", "config": {"name": "model_1", "layers": chain, **ends}}


def write_network(path: Path, config: Any = None, *, version: str = "2.2.4") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = json.dumps(config or make_config()).encode()
        for name, values in make_weights().items():
            file[f"model_weights/{name}"] = values
    return path


def answer(rows: np.ndarray, scalers: dict[str, StandardScaler]) -> tuple[float, float]:
    """Work out, in plain NumPy, the raw answer and the next open from all rows (n, 6) of a symbol's history."""
    opened, high, low, close, _, cap = rows.T
    spread = high - low
    ratio = np.divide(close - low, spread, out=np.zeros(len(rows)), where=spread != 0)
    levels = np.stack([opened, high, low, close, ratio, spread], axis=1)
    steps = np.concatenate([np.zeros((1, 6)), np.diff(levels, axis=0)])
    raw = np.concatenate([levels, steps], axis=1)
    means, scales = (np.array([getattr(scalers[c], part)[0] for c in COLUMNS]) for part in ("mean_", "scale_"))
    with np.errstate(divide="ignore"):
        shares = np.log(np.ceil(np.nan_to_num(cap) / close))
    columns = np.concatenate([(raw - means) / scales, shares[:, None]], axis=1)
    columns[np.isinf(columns)] = 0
    seen = np.concatenate([np.zeros((5, 13)), columns])[-5:]
    found = float(_run_network(seen))
    return found, float(opened[-1] + found * scales[6] + means[6])


def _run_network(x: np.ndarray) -> np.ndarray:
    w = {name: values.astype(np.float64) for name, values in make_weights().items()}
    y = np.concatenate([_run_gru(x, w, "forward"), _run_gru(x[::-1], w, "backward")])
    mean, variance = w["norm/norm/moving_mean:0"], w["norm/norm/moving_variance:0"]
    y = (y - mean) / np.sqrt(variance + 0.001) * w["norm/norm/gamma:0"] + w["norm/norm/beta:0"]
    y = np.tanh(y @ w["first/first/kernel:0"] + w["first/first/bias:0"])
    return (y @ w["second/second/kernel:0"] + w["second/second/bias:0"])[0]


def _run_gru(x: np.ndarray, w: dict[str, np.ndarray], way: str) -> np.ndarray:
    """Keras 2.2's GRU with reset_after = false, step by step."""
    kernel, recurrent, bias = (w[f"bi/bi/{way}_gru/{part}:0"] for part in ("kernel", "recurrent_kernel", "bias"))
    state = np.zeros(UNITS)
    for step in x:
        given = step @ kernel + bias
        gates = np.clip(0.2 * (given[: 2 * UNITS] + state @ recurrent[:, : 2 * UNITS]) + 0.5, 0, 1)
        update, reset = gates[:UNITS], gates[UNITS:]
        candidate = np.tanh(given[2 * UNITS :] + (reset * state) @ recurrent[:, 2 * UNITS :])
        state = update * state + (1 - update) * candidate
    return state


def make_history(n_rows: int, *, seed: int = 1, price: float = 0.9) -> np.ndarray:
    """Bars (n_rows, 6) of a symbol, one of them flat."""
    rng = np.random.default_rng(seed)
    opened = price * np.exp(np.cumsum(rng.normal(0, 0.03, n_rows)))
    close = opened * np.exp(rng.normal(0, 0.02, n_rows))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.98
    rows = np.stack([opened, high, low, close, rng.uniform(1, 9, n_rows), close * 12.3], axis=1)
    if n_rows > 2:
        rows[-2, :4] = rows[-2, 3]
    return rows
