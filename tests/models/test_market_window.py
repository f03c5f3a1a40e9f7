"""A model of market-wide columns: its graph takes them beside the windows, names them, and uses them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest

from include.backtest.windows import Windows, build_windows
from include.market.exchange import simulate_exchange
from include.scoring.graph import find_misfit, load_graph, run_graph
from include.scoring.inputs import read_market_columns
from models.features import compute_features, take_newest
from models.keras_fit import EACH_LAYER, FittedKeras
from models.keras_runtime import keras
from models.market import MARKET_COLUMNS, join_market
from models.market_window import MarketWindow, MarketWindowHyperparameters
from tests.models.conftest import LOOKBACK, make_cube


@pytest.fixture(scope="module")
def windows() -> Windows:
    exchange = simulate_exchange(symbols=150, sessions=40, calendar="24/7", seed=3, last_session=date(2018, 6, 30))
    cube = join_market(make_cube(exchange), MARKET_COLUMNS)
    return build_windows(cube, lookback=LOOKBACK, origins=range(9, 40), min_observed=8)


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def fitted(windows: Windows, told: list[tuple[int, int]]) -> FittedKeras:
    model = MarketWindow(MarketWindowHyperparameters(networks=2, batch_size=256, epochs=3))
    return model.fit(
        windows.windows, windows.targets, seed=7, threads=2, on_progress=lambda done, of, _: told.append((done, of))
    )


@pytest.fixture(scope="module")
def artifact(fitted: FittedKeras, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    fitted.save_onnx(path)
    return path


def test_the_graph_takes_both_inputs_and_names_the_columns(artifact: Path) -> None:
    graph = load_graph(artifact, threads=1)
    shapes = {each.name: (each.shape, each.type) for each in graph.get_inputs()}
    assert shapes == {
        "window": (["n_symbols", 10, 6], "tensor(float)"),
        "market": (["n_symbols", 10, len(MARKET_COLUMNS)], "tensor(float)"),
    }
    assert read_market_columns(graph) == MARKET_COLUMNS
    assert find_misfit(artifact, lookback=10) is None
    assert "invalid dimensions" in str(find_misfit(artifact, lookback=9))
    assert {node.domain for node in onnx.load(artifact).graph.node} == {""}


def test_the_graph_forecasts_what_the_original_forecasts(
    artifact: Path, fitted: FittedKeras, windows: Windows, told: list[tuple[int, int]]
) -> None:
    forecast = run_graph(load_graph(artifact, threads=1), windows.windows)
    assert np.abs(forecast).max() > 1e-3
    assert np.abs(forecast - fitted.predict(windows.windows)).max() < 1e-5
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_each_network_learns_for_itself(fitted: FittedKeras, windows: Windows) -> None:
    core = fitted.core
    each = keras.Model(core.input, core.get_layer(EACH_LAYER).output)
    features, _ = compute_features(windows.windows[:300], MARKET_COLUMNS)
    said = keras.ops.convert_to_numpy(each(take_newest(core, features)))
    assert said.shape == (300, 2, 2)
    first, second = said[:, 0], said[:, 1]
    correlation = [np.corrcoef(first[:, axis], second[:, axis])[0, 1] for axis in range(2)]
    assert 0.5 < min(correlation) <= max(correlation) < 0.999


def test_every_column_matters_but_those_of_the_window_s_first_session(artifact: Path, windows: Windows) -> None:
    graph, asked = load_graph(artifact, threads=1), windows.windows[:200]
    forecast = run_graph(graph, asked)
    for axis in range(6, 6 + len(MARKET_COLUMNS)):
        changed = asked.copy()
        changed[:, -1, axis] += 0.3
        assert np.abs(run_graph(graph, changed) - forecast).max() > 1e-5
    changed = asked.copy()
    changed[:, 0, 6:] = np.nan
    np.testing.assert_array_equal(run_graph(graph, changed), forecast)


def test_no_input_makes_a_forecast_that_is_not_finite(artifact: Path) -> None:
    generator = np.random.default_rng(1)
    wild = 10.0 ** generator.uniform(-12, 12, size=(500, 10, 6 + len(MARKET_COLUMNS)))
    for value, share in ((np.nan, 0.1), (0.0, 0.02), (np.inf, 0.02), (-np.inf, 0.02)):
        wild[generator.random(wild.shape) < share] = value
    assert np.isfinite(run_graph(load_graph(artifact, threads=1), wild.astype(np.float32))).all()


def test_writing_again_gives_the_same_bytes(fitted: FittedKeras, artifact: Path, tmp_path: Path) -> None:
    fitted.save_onnx(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == artifact.read_bytes()


def test_the_original_is_read_without_code(fitted: FittedKeras, windows: Windows, tmp_path: Path) -> None:
    fitted.save_original(tmp_path)
    read = keras.saving.load_model(tmp_path / "market_window.keras", safe_mode=True)
    asked = windows.windows[:50]
    found = read.predict([asked[..., :6], asked[..., 6:]], verbose=0)
    assert np.abs(found - fitted.predict(asked)).max() < 1e-6
