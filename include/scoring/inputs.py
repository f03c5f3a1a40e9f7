"""What a graph is given besides numbers, and what it leaves unsaid: both as the artifact itself declares them.

A graph takes raw windows in the precision of its first input. A model per symbol declares `symbol_id` as well, by a
vocabulary that lies in the graph's own metadata, so that it is covered by the artifact's hash. One that
forecasts some targets alone lists them there; the others are NaN in what it gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import TARGETS, WINDOW_COLUMNS
from models.market import MARKET_COLUMNS
from models.protocol import INPUT_NAME, MARKET_METADATA, MARKET_NAME

SYMBOL_ID = "symbol_id"
"""Input int32 (n_symbols,): a symbol's number in the vocabulary, from 1 on, and 0 for one that is not in it."""

VOCABULARY, FORECAST = "closecast.symbols", "closecast.targets"
"""Keys of the graph's metadata, in JSON: numbers by symbol, and a list of the targets that it forecasts (else all)."""

_PRECISIONS: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def prepare_inputs(
    graph: Any, windows: npt.NDArray[np.floating[Any]], symbols: Sequence[str] | npt.NDArray[np.object_] | None
) -> dict[str, npt.NDArray[Any]]:
    """Give each input that a graph declares its array, by name.

    Parameters
    ----------
    graph
        A session of ONNX Runtime.
    windows
        (n_symbols, lookback, 6 + k), raw, with the k columns of `read_market_columns` behind their own.
    symbols
        (n_symbols,), whose windows these are; a graph of windows alone does without.

    Raises
    ------
    InputError
        The graph asks for what is not known here.
    """
    first, *others = graph.get_inputs()
    precision = read_precision(graph)
    named = name_windows(windows)
    inputs: dict[str, npt.NDArray[Any]] = {first.name: named.pop(INPUT_NAME).astype(precision, copy=False)}
    for each in others:
        if each.name in named:
            inputs[each.name] = named[each.name].astype(np.float32, copy=False)
            continue
        if each.name != SYMBOL_ID or symbols is None:
            raise InputError(
                f"a graph may ask for windows and, of named symbols, {SYMBOL_ID}",
                value=each.name,
            )
        inputs[each.name] = _index_symbols(graph, symbols)
    return inputs


def read_precision(graph: Any) -> type[np.floating[Any]]:
    """Give the precision of the windows that a graph takes."""
    return _PRECISIONS.get(graph.get_inputs()[0].type, np.float32)


def name_windows(windows: npt.NDArray[np.floating[Any]]) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """Split windows (n_symbols, lookback, 6 + k) by the names of inputs: raw windows, and market-wide columns."""
    own = len(WINDOW_COLUMNS)
    if windows.shape[-1] <= own:
        return {INPUT_NAME: windows}
    return {INPUT_NAME: np.ascontiguousarray(windows[..., :own]), MARKET_NAME: np.ascontiguousarray(windows[..., own:])}


def read_market_columns(graph: Any) -> tuple[str, ...]:
    """Give the names of the market-wide columns that a graph needs; none where it asks for none.

    Raises
    ------
    InputError
        It asks for columns that there are not, or does not say which.
    """
    said = graph.get_modelmeta().custom_metadata_map.get(MARKET_METADATA, "")
    names = tuple(said.split(",")) if said else ()
    takes = MARKET_NAME in [each.name for each in graph.get_inputs()]
    if takes != bool(names) or not set(names) <= set(MARKET_COLUMNS):
        rule = f"columns of input {MARKET_NAME} must be named in the graph's metadata, of {', '.join(MARKET_COLUMNS)}"
        raise InputError(rule, value=said or "none")
    return names


def fill_unforecast(graph: Any, log_returns: npt.NDArray[np.floating[Any]]) -> None:
    """Put last close's forecast, zero, in the place of a target that a graph leaves out, where it gives the others."""
    declared = _find_declared(graph)
    answered = np.isfinite(log_returns[:, declared]).all(axis=1)
    log_returns[np.ix_(answered, ~declared)] = 0.0


def explain_silence(graph: Any, symbols: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Say of which symbols and targets a graph has no forecast, whatever their bars are.

    Returns
    -------
    numpy.ndarray
        Reasons (n_symbols, n_targets), None where it has one.
    """
    reasons = np.full((len(symbols), len(TARGETS)), None, dtype=object)
    declared = _find_declared(graph)
    said = " and ".join(target for target, is_declared in zip(TARGETS, declared, strict=True) if is_declared)
    reasons[:, ~declared] = f"the model forecasts the {said} alone, so the last close stands"
    if SYMBOL_ID in [each.name for each in graph.get_inputs()]:
        unknown = _index_symbols(graph, symbols) == 0
        for position in np.flatnonzero(unknown):
            reasons[position] = f"symbol {symbols[position]} is not in the model's vocabulary, so the last close stands"
    return reasons


def _find_declared(graph: Any) -> npt.NDArray[np.bool_]:
    listed = _read_metadata(graph, FORECAST)
    return np.array([not listed or target in listed for target in TARGETS])


def _index_symbols(graph: Any, symbols: Sequence[str] | npt.NDArray[np.object_]) -> npt.NDArray[np.int32]:
    numbers = _read_metadata(graph, VOCABULARY)
    return np.array([numbers.get(symbol, 0) for symbol in symbols], dtype=np.int32)


def _read_metadata(graph: Any, key: str) -> Any:
    """Read what an artifact says of itself; one that says nothing gives an empty dict."""
    return json.loads(graph.get_modelmeta().custom_metadata_map.get(key, "{}"))
