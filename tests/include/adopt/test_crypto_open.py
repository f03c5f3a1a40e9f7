"""The graph beside the same arithmetic in plain NumPy, and what it says where there is little or nothing to go by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.adopt.crypto_open import COLUMNS, LOOKBACK, build_graph
from include.adopt.network import read_network
from include.adopt.scalers import read_scalers
from include.errors import InputError
from include.scoring.graph import find_misfit, load_graph, run_graph
from tests.include.adopt.conftest import Small
from tests.include.adopt.files import SYMBOLS, answer, make_history


def place(rows: np.ndarray, sessions: list[int]) -> np.ndarray:
    """Rows at some sessions of a window, NaN at the others."""
    window = np.full((LOOKBACK, 6), np.nan)
    window[sessions] = rows[-len(sessions) :]
    return window


def expect_open(rows: np.ndarray, small: Small, symbol: str = "AAA") -> float:
    return float(np.log(answer(rows, small.scalers[symbol])[1] / rows[-1, 3]))


@pytest.mark.parametrize("n_rows", range(1, 12))
def test_each_length_of_a_history_gives_the_answer_worked_out_apart(small: Small, n_rows: int) -> None:
    rows = make_history(n_rows, seed=n_rows)
    kept = min(n_rows, LOOKBACK)
    window = place(rows, list(range(LOOKBACK - kept, LOOKBACK)))
    found = run_graph(small.graph, np.stack([window, window]), SYMBOLS)
    for symbol, (opened, closed) in zip(SYMBOLS, found, strict=True):
        assert opened == pytest.approx(expect_open(rows, small, symbol), abs=2e-7)
        assert np.isnan(closed)


@pytest.mark.parametrize("sessions", [[0, 2, 3, 5, 6, 7], [0, 1, 2, 3, 4, 7], [1, 2, 3, 4, 5, 6, 7]])
def test_missing_sessions_are_passed_over_as_the_original_does(small: Small, sessions: list[int]) -> None:
    rows = make_history(20)
    found = run_graph(small.graph, place(rows, sessions)[None], ["AAA"])
    assert found[0, 0] == pytest.approx(expect_open(rows, small), abs=2e-7)


def test_a_missing_market_cap_counts_as_none(small: Small) -> None:
    rows = make_history(9)
    rows[5:7, 5] = [np.nan, 0.0]
    found = run_graph(small.graph, rows[None, -LOOKBACK:], ["AAA"])
    assert found[0, 0] == pytest.approx(expect_open(rows, small), abs=2e-7)


def test_a_symbol_without_scalers_has_no_forecast_and_spoils_no_other(small: Small) -> None:
    windows = np.stack([make_history(LOOKBACK)] * 2)
    found = run_graph(small.graph, windows, ["CCC", "BBB"])
    assert np.isnan(found[0]).all()
    assert found[1, 0] == run_graph(small.graph, windows[1:], ["BBB"])[0, 0]


def test_an_open_that_would_not_be_positive_is_no_forecast(small: Small, tmp_path: Path) -> None:
    scalers = read_scalers(small.files.scaler, COLUMNS)
    falling = replace(scalers, means=scalers.means - 50 * np.eye(len(COLUMNS))[COLUMNS.index("v_open")])
    model = build_graph(read_network(small.files.model), falling)
    (tmp_path / "falling.onnx").write_bytes(model.SerializeToString())
    graph = load_graph(tmp_path / "falling.onnx", threads=1)
    assert np.isnan(run_graph(graph, make_history(LOOKBACK)[None], ["BBB"])).all()


def test_the_graph_can_be_run_over_any_number_of_windows(small: Small) -> None:
    assert find_misfit(small.path, lookback=LOOKBACK) is None
    assert run_graph(small.graph, np.zeros((0, LOOKBACK, 6)), []).shape == (0, 2)


def test_the_same_files_give_the_same_bytes(small: Small) -> None:
    model = build_graph(read_network(small.files.model), read_scalers(small.files.scaler, COLUMNS))
    assert model.SerializeToString(deterministic=True) == small.path.read_bytes()


def test_files_of_another_contract_are_refused(small: Small) -> None:
    network, scalers = read_network(small.files.model), read_scalers(small.files.scaler, COLUMNS)
    with pytest.raises(InputError, match=r"must take \(5, 13\).*Received: \(6, 13\)"):
        build_graph(replace(network, input_shape=(6, 13)), scalers)
    with pytest.raises(InputError, match="end with a dense layer of one unit. Received: Bidirectional, Batch"):
        build_graph(replace(network, layers=network.layers[:-1]), scalers)
    with pytest.raises(InputError, match="must say target_col v_open. Received: v_close"):
        build_graph(network, replace(scalers, hypers={**scalers.hypers, "target_col": "v_close"}))
