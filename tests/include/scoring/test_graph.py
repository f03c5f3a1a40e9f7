"""What a graph must give, and that one which cannot be run over windows is found before it serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from include.errors import InputError
from include.scoring.graph import find_misfit, load_graph, run_graph
from include.scoring.inputs import read_market_columns
from models.market import MARKET_COLUMNS
from tests.include.scoring.graphs import write_columns_graph, write_market_graph


@pytest.mark.parametrize("columns", [[3], [0, 1, 2]])
def test_a_graph_of_another_number_of_targets_is_refused(tmp_path: Path, columns: list[int]) -> None:
    graph = load_graph(write_columns_graph(tmp_path / "g.onnx", columns, ["n", 4, 6]), threads=1)
    with pytest.raises(InputError, match=rf"log returns \(5, 2\)\. Received: \[\(5, {len(columns)}\)\]"):
        run_graph(graph, np.zeros((5, 4, 6), dtype=np.float32))


@pytest.mark.parametrize(
    ("columns", "shape", "misfit"),
    [
        ([0, 3], ["n", 4, 6], None),
        ([0, 3], ["n", 5, 6], "invalid dimensions"),
        ([0, 3], [3, 4, 6], "invalid dimensions"),
        ([0, 3], ["n", 4, 13], "invalid dimensions"),
        ([3], ["n", 4, 6], r"one array of log returns (1, 2)"),
        ([0, 9], ["n", 4, 6], "out of data bounds"),
    ],
)
def test_a_graph_that_cannot_be_run_over_windows_is_found(
    tmp_path: Path, columns: list[int], shape: list[int | str], misfit: str | None
) -> None:
    found = find_misfit(write_columns_graph(tmp_path / "g.onnx", columns, shape), lookback=4)
    assert found is None if misfit is None else misfit in str(found)


def test_what_is_no_graph_at_all_is_found(tmp_path: Path) -> None:
    (tmp_path / "g.onnx").write_bytes(b"no graph")
    assert "g.onnx" in str(find_misfit(tmp_path / "g.onnx", lookback=4))


def test_what_stands_behind_a_window_s_columns_goes_to_the_second_input(tmp_path: Path) -> None:
    graph = load_graph(write_market_graph(tmp_path / "g.onnx", ("volume_rank", "market_return"), lookback=4), threads=1)
    assert read_market_columns(graph) == ("volume_rank", "market_return")
    windows = np.random.default_rng(0).normal(size=(5, 4, 8)).astype(np.float32)
    np.testing.assert_array_equal(run_graph(graph, windows), windows[:, -1, 6:])
    assert find_misfit(tmp_path / "g.onnx", lookback=4) is None


def test_a_graph_of_windows_alone_needs_no_market(tmp_path: Path) -> None:
    assert (
        read_market_columns(load_graph(write_columns_graph(tmp_path / "g.onnx", [0, 3], ["n", 4, 6]), threads=1)) == ()
    )


@pytest.mark.parametrize(
    ("metadata", "misfit"),
    [
        ("", "Received: none"),
        ("market_return,tomorrow", f"of {', '.join(MARKET_COLUMNS)}. Received: market_return,tomorrow"),
        ("market_return,cap_rank,dispersion", "invalid dimensions"),
    ],
)
def test_columns_that_nobody_can_give_are_found(tmp_path: Path, metadata: str, misfit: str) -> None:
    path = write_market_graph(tmp_path / "g.onnx", ("market_return", "cap_rank"), lookback=4, metadata=metadata)
    assert misfit in str(find_misfit(path, lookback=4))
