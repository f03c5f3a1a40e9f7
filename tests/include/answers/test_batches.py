"""Windows run in batches by several threads come out at their rows, and what fails in a thread is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from include.answers.batches import BATCH_WINDOWS, Batches
from include.errors import InputError
from include.scoring.graph import load_graph
from tests.include.scoring.graphs import write_columns_graph

OPEN, CLOSE = 0, 3


def run(path: Path, pieces: list[int], threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Run windows whose rows are in disorder, in pieces; return what each window came to, and the windows."""
    rng = np.random.default_rng(3)
    windows = rng.normal(size=(sum(pieces), 4, 6)).astype(np.float32)
    rows, returns = rng.permutation(len(windows)), np.full((len(windows), 2), np.nan)
    codes = np.zeros(len(windows), np.int32)
    with Batches(load_graph(path, threads=1), pa.array(["A"]), horizons=1, threads=threads) as batches:
        for stop, size in zip(np.cumsum(pieces), pieces, strict=True):
            some = slice(stop - size, stop)
            batches.add(rows[some], codes[some], windows[some], returns)
        batches.finish(returns)
    return returns[rows], windows


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pieces", [[0], [5], [700, 700, 1], [20 * BATCH_WINDOWS + 1, 3]])
def test_each_row_has_what_its_window_gives(tmp_path: Path, pieces: list[int], threads: int) -> None:
    found, windows = run(write_columns_graph(tmp_path / "g.onnx", [OPEN, CLOSE], ["n", 4, 6]), pieces, threads)
    np.testing.assert_array_equal(found, windows[:, -1, [OPEN, CLOSE]].astype(np.float64))


def test_what_fails_in_a_thread_is_raised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="log returns"):
        run(write_columns_graph(tmp_path / "g.onnx", [CLOSE], ["n", 4, 6]), [3 * BATCH_WINDOWS], 2)
