"""The contract `crypto-open-v1`: thirteen columns of five sessions, standardised per symbol, to the next open's step.

The graph takes eight raw sessions and uses the newest six that have a row: the network sees five, and the first of
these needs the one before it for its differences. Where there are fewer, rows of zeros stand before them, and the
oldest row has differences of zero, as at the beginning of a symbol's history. So with up to two sessions missing, all
that scoring allows, the answer is that of the original, which counts rows and not sessions.

Prices come, and differences are taken, in float64: see docs/adr/0011-an-adopted-graph-takes-float64.md.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from include.adopt.network import Network
from include.adopt.network_graph import Nodes, add_network
from include.adopt.scalers import Scalers
from include.errors import InputError
from include.lake.bars import MOST_MISSING
from include.schema import TARGETS, WINDOW_COLUMNS
from include.scoring.inputs import FORECAST, SYMBOL_ID, VOCABULARY
from models.protocol import INPUT_NAME, OUTPUT_NAME

NAME = "crypto-open-v1"
SEEN = 5
"""Sessions that the network sees."""

LOOKBACK = SEEN + 1 + MOST_MISSING
FORECASTS = ("open",)
RAW = "scaled_v_open"
"""The tensor of the network's raw output, float32 (n_symbols, 1), and its column in a file of expected answers."""

_LEVELS = ("open", "high", "low", "close", "close_ratio", "spread")
COLUMNS = (*_LEVELS, *(f"v_{name}" for name in _LEVELS))
"""Those that are standardised; the network takes log_shares behind them, as it is."""

_HYPERS = {
    "dat_cols": list(_LEVELS),
    "feat_cols": [*COLUMNS, "log_shares"],
    "target_col": "v_open",
    "seq_len": SEEN,
}
_STEP = COLUMNS.index("v_open")

_HEADER = f"""<ir_version: 9, opset_import: ["": 18]>
closecast (double[n_symbols, {LOOKBACK}, {len(WINDOW_COLUMNS)}] {INPUT_NAME}, int32[n_symbols] {SYMBOL_ID})
  => (float[n_symbols, {len(TARGETS)}] {OUTPUT_NAME})
"""

_FEATURES = """
    every_open = Gather <axis = 2> (window, column_open)
    is_missing = IsNaN (every_open)
    is_there = Not (is_missing)
    there = Cast <to = 7> (is_there)
    shifted = Mul (there, lookback)
    rank = Add (shifted, positions)
    ranks, newest_first = TopK <axis = 1, largest = 1, sorted = 1> (rank, n_rows)
    newest_last = Slice (newest_first, last, before_first, sessions_axis, backwards)
    places = Unsqueeze (newest_last, columns_axis)
    all_places = Expand (places, row_shape)
    rows = GatherElements <axis = 1> (window, all_places)

    prices = Slice (rows, first, n_prices, columns_axis)
    opens = Slice (rows, first, second, columns_axis)
    highs = Slice (rows, second, third, columns_axis)
    lows = Slice (rows, third, fourth, columns_axis)
    closes = Slice (rows, fourth, n_prices, columns_axis)
    spread = Sub (highs, lows)
    is_flat = Equal (spread, zero)
    divisor = Where (is_flat, one, spread)
    above_low = Sub (closes, lows)
    ratio = Div (above_low, divisor)
    close_ratio = Where (is_flat, zero, ratio)
    levels = Concat <axis = 2> (prices, close_ratio, spread)

    newer = Slice (levels, second, n_rows, sessions_axis)
    older = Slice (levels, first, n_seen, sessions_axis)
    difference = Sub (newer, older)
    is_first = IsNaN (difference)
    steps = Where (is_first, zero, difference)
    raw_columns = Concat <axis = 2> (newer, steps)
    mean_rows = Gather <axis = 0> (means, symbol_id)
    scale_rows = Gather <axis = 0> (scales, symbol_id)
    mean = Unsqueeze (mean_rows, sessions_axis)
    scale = Unsqueeze (scale_rows, sessions_axis)
    centred = Sub (raw_columns, mean)
    standardised = Div (centred, scale)

    caps = Slice (rows, market_cap, after_market_cap, columns_axis)
    has_no_cap = IsNaN (caps)
    known_caps = Where (has_no_cap, zero, caps)
    all_shares = Div (known_caps, closes)
    shares = Slice (all_shares, second, n_rows, sessions_axis)
    whole_shares = Ceil (shares)
    log_shares = Log (whole_shares)

    columns = Concat <axis = 2> (standardised, log_shares)
    is_infinite = IsInf (columns)
    finite = Where (is_infinite, zero, columns)
    seen_opens = Slice (opens, second, n_rows, sessions_axis)
    is_absent = IsNaN (seen_opens)
    features = Where (is_absent, zero, finite)
    sequence = Cast <to = 1> (features)
"""

_FORECAST = f"""
    raw = Cast <to = 11> ({RAW})
    step_mean = Slice (mean_rows, step_column, after_step_column, sessions_axis)
    step_scale = Slice (scale_rows, step_column, after_step_column, sessions_axis)
    unscaled = Mul (raw, step_scale)
    step = Add (unscaled, step_mean)
    newest_row = Gather <axis = 1> (rows, newest)
    last_open = Slice (newest_row, first, second, sessions_axis)
    last_close = Slice (newest_row, fourth, n_prices, sessions_axis)
    next_open = Add (last_open, step)
    ratio_to_close = Div (next_open, last_close)
    open_return = Log (ratio_to_close)
    is_unknown_symbol = Equal ({SYMBOL_ID}, unknown)
    is_unknown = Unsqueeze (is_unknown_symbol, sessions_axis)
    known_return = Where (is_unknown, not_a_number, open_return)
    no_return = Mul (known_return, not_a_number)
    both = Concat <axis = 1> (known_return, no_return)
    {OUTPUT_NAME} = Cast <to = 1> (both)
"""


def build_graph(network: Network, scalers: Scalers) -> onnx.ModelProto:
    """Build the graph from raw windows and symbol ids to log returns against the last close.

    Raises
    ------
    InputError
        Network or scalers are not of this contract: names the shape or the entry of `model_hypers`.
    """
    _require_contract(network, scalers)
    nodes = Nodes()
    nodes.constants |= _build_constants(scalers)
    nodes.add(_FEATURES)
    add_network(nodes, network, source="sequence", target=RAW)
    nodes.add(_FORECAST)
    lines = "\n".join(nodes.lines)
    model = onnx.parser.parse_model(f"{_HEADER}{{\n{lines}\n}}")
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in nodes.constants.items())
    said = {VOCABULARY: scalers.vocabulary, FORECAST: list(FORECASTS)}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in said.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _require_contract(network: Network, scalers: Scalers) -> None:
    wanted = (SEEN, len(COLUMNS) + 1)
    if network.input_shape != wanted:
        raise InputError(f"a network of {NAME} must take {wanted} sessions and columns", value=network.input_shape)
    kinds = [layer.kind for layer in network.layers]
    is_chain = bool(kinds) and kinds[0] == "Bidirectional" and "Bidirectional" not in kinds[1:]
    if not is_chain or network.layers[-1].config.get("units") != 1:
        rule = f"a network of {NAME} must begin with its only GRU and end with a dense layer of one unit"
        raise InputError(rule, value=", ".join(kinds))
    for key, value in _HYPERS.items():
        if scalers.hypers.get(key) != value:
            raise InputError(f"model_hypers of {NAME} must say {key} {value}", value=str(scalers.hypers.get(key))[:200])


def _build_constants(scalers: Scalers) -> dict[str, np.ndarray]:
    """Build the arrays that the nodes name; row 0 of the tables is for a symbol that has no scaler."""
    width = len(COLUMNS)
    cap = WINDOW_COLUMNS.index("market_cap")
    whole = {
        "n_rows": [SEEN + 1],
        "n_seen": [SEEN],
        "n_prices": [4],
        "first": [0],
        "second": [1],
        "third": [2],
        "fourth": [3],
        "last": [-1],
        "before_first": [-LOOKBACK - 1],
        "backwards": [-1],
        "sessions_axis": [1],
        "columns_axis": [2],
        "row_shape": [1, 1, len(WINDOW_COLUMNS)],
        "positions": list(range(LOOKBACK)),
        "market_cap": [cap],
        "after_market_cap": [cap + 1],
        "step_column": [_STEP],
        "after_step_column": [_STEP + 1],
        "column_open": WINDOW_COLUMNS.index("open"),
        "lookback": LOOKBACK,
        "newest": SEEN,
    }
    return {
        **{name: np.array(value, dtype=np.int64) for name, value in whole.items()},
        **{name: np.array(value) for name, value in {"zero": 0.0, "one": 1.0, "not_a_number": np.nan}.items()},
        "unknown": np.array(0, dtype=np.int32),
        "means": np.concatenate([np.zeros((1, width)), scalers.means]),
        "scales": np.concatenate([np.ones((1, width)), scalers.scales]),
    }
