"""An ONNX graph and how it is run: raw windows in, log returns out.

A graph that needs market-wide columns says so itself, by a second input and their names in its metadata. They stand
behind a window's own columns wherever windows are passed on, and go apart here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import TARGETS, WINDOW_COLUMNS
from models.market import MARKET_COLUMNS
from models.protocol import INPUT_NAME, MARKET_METADATA, MARKET_NAME


def load_graph(path: Path, *, threads: int) -> Any:
    """Open a graph with ONNX Runtime on a bounded number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # A thread that spins while it waits takes the core that another task needs: on busy cores ten times slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_market_columns(graph: Any) -> tuple[str, ...]:
    """Give the names of the market-wide columns that a graph needs; none where it takes windows alone.

    Raises
    ------
    InputError
        It asks for columns that there are not, or has a second input and does not say of what.
    """
    said = graph.get_modelmeta().custom_metadata_map.get(MARKET_METADATA, "")
    names = tuple(said.split(",")) if said else ()
    if len(graph.get_inputs()) != 1 + bool(names) or not set(names) <= set(MARKET_COLUMNS):
        rule = f"a second input must be named in the graph's metadata, of {', '.join(MARKET_COLUMNS)}"
        raise InputError(rule, value=said or f"{len(graph.get_inputs())} inputs")
    return names


def name_inputs(windows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Split windows (n_symbols, lookback, 6 + k) into a graph's inputs by name: raw windows, market-wide columns."""
    own = len(WINDOW_COLUMNS)
    if windows.shape[-1] <= own:
        return {INPUT_NAME: windows}
    return {INPUT_NAME: np.ascontiguousarray(windows[..., :own]), MARKET_NAME: np.ascontiguousarray(windows[..., own:])}


def run_graph(graph: Any, windows: npt.NDArray[np.float32], *, horizons: int = 1) -> npt.NDArray[np.float32]:
    """Return log returns against the last close, (n_symbols, 2), of windows, (n_symbols, lookback, 6 + k).

    Of a model with several horizons, (n_symbols, n_horizons, 2).

    Parameters
    ----------
    windows
        Raw windows, with the k columns of `read_market_columns` behind their own; see `models.market.join_market`.

    Raises
    ------
    InputError
        The graph gives arrays of another number or shape.
    """
    inputs = name_inputs(windows)
    if len(inputs) == 1:
        inputs = {graph.get_inputs()[0].name: windows}
    found = graph.run(None, inputs)
    ahead = () if horizons == 1 else (horizons,)
    expected, shapes = (len(windows), *ahead, len(TARGETS)), [np.shape(each) for each in found]
    if shapes != [expected]:  # (n_symbols, 1) would become both targets without a word
        raise InputError(f"a graph must give one array of log returns {expected}", value=shapes)
    result: npt.NDArray[np.float32] = found[0]
    return result


def find_misfit(path: Path, *, lookback: int) -> str | None:
    """Run a graph over one window and over three; say why it cannot be run so, None where it can.

    What it makes of them does not count: no number is an answer too, in place of which the last close is published.
    """
    try:
        graph = load_graph(path, threads=1)
        columns = len(WINDOW_COLUMNS) + len(read_market_columns(graph))
        for count in (1, 3):
            run_graph(graph, np.ones((count, lookback, columns), dtype=np.float32))
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's own have no common class besides it
        return " ".join(str(error).split())[:200]
    return None
