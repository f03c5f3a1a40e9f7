"""An ONNX graph and how it is run: raw windows in, log returns out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


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


def run_graph(graph: Any, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return log returns against the last close, (n_symbols, 2), of raw windows, (n_symbols, lookback, 6)."""
    (log_returns,) = graph.run(None, {graph.get_inputs()[0].name: windows})
    result: npt.NDArray[np.float32] = log_returns
    return result
