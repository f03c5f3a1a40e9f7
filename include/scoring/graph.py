"""An ONNX graph and how it is run: raw windows in, log returns out.

A graph that needs market-wide columns says so itself, by a second input and their names in its metadata. They stand
behind a window's own columns wherever windows are passed on, and go apart here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import TARGETS, WINDOW_COLUMNS
from include.scoring.inputs import prepare_inputs, read_market_columns


def load_graph(path: Path, *, threads: int) -> Any:
    """Open a graph with ONNX Runtime on a bounded number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # To plan which results may share memory takes four fifths of opening a graph of some hundred nodes. A run without
    # takes neither longer nor more memory: what is done with is let go of all the same.
    options.enable_mem_reuse = False
    # A thread that spins while it waits takes the core that another task needs: on busy cores ten times slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_graph(
    graph: Any,
    windows: npt.NDArray[np.floating[Any]],
    symbols: Sequence[str] | npt.NDArray[np.object_] | None = None,
    *,
    horizons: int = 1,
) -> npt.NDArray[np.float32]:
    """Return log returns against the last close, (n_symbols, 2), of windows, (n_symbols, lookback, 6 + k).

    Of a model with several horizons, (n_symbols, n_horizons, 2). `symbols` says whose windows these are, for a graph
    that asks; see `include.scoring.inputs`.

    Parameters
    ----------
    windows
        Raw windows, with the k columns of `read_market_columns` behind their own; see `models.market.join_market`.

    Raises
    ------
    InputError
        The graph gives arrays of another number or shape.
    """
    ahead = () if horizons == 1 else (horizons,)
    expected = (len(windows), *ahead, len(TARGETS))
    if not len(windows):  # ONNX Runtime's GRU ends the process on a batch of none
        return np.empty(expected, dtype=np.float32)
    found = graph.run(None, prepare_inputs(graph, windows, symbols))
    shapes = [np.shape(each) for each in found]
    if shapes != [expected]:  # (n_symbols, 1) would become both targets without a word
        raise InputError(f"a graph must give one array of log returns {expected}", value=shapes)
    result: npt.NDArray[np.float32] = found[0]
    return result


def find_misfit(path: Path, *, lookback: int, horizons: int = 1) -> str | None:
    """Run a graph over one window and over three; say why it cannot be run so, None where it can.

    What it makes of them does not count: no number is an answer too, in place of which the last close is published.
    """
    try:
        graph = load_graph(path, threads=1)
        columns = len(WINDOW_COLUMNS) + len(read_market_columns(graph))
        for count in (1, 3):
            windows = np.ones((count, lookback, columns), dtype=np.float32)
            run_graph(graph, windows, symbols=[""] * count, horizons=horizons)
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's own have no common class besides it
        return " ".join(str(error).split())[:200]
    return None
