"""What every learned artifact promises, whichever model it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from include.backtest.windows import Windows
from models.protocol import FittedModel


@pytest.fixture(scope="module")
def artifact(fitted: FittedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    fitted.save_onnx(path)
    return path


@pytest.fixture(scope="module")
def graph(artifact: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])


def run(graph: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    return graph.run(["log_return"], {"window": windows})[0]


def test_the_graph_is_named_and_shaped_as_the_contract_says(graph: onnxruntime.InferenceSession) -> None:
    (window,), (forecast,) = graph.get_inputs(), graph.get_outputs()
    assert (window.name, window.shape, window.type) == ("window", ["n_symbols", 10, 6], "tensor(float)")
    assert (forecast.name, forecast.shape, forecast.type) == ("log_return", ["n_symbols", 2], "tensor(float)")


def test_the_graph_forecasts_what_the_original_forecasts(
    graph: onnxruntime.InferenceSession, fitted: FittedModel, small_windows: Windows
) -> None:
    forecast = run(graph, small_windows.windows)
    assert np.abs(forecast).max() > 1e-3
    assert np.abs(forecast - fitted.predict(small_windows.windows)).max() < 1e-5


def test_a_forecast_does_not_depend_on_the_others_in_its_batch(
    graph: onnxruntime.InferenceSession, small_windows: Windows
) -> None:
    together = run(graph, small_windows.windows[:3001])
    for count in (1, 7, 100):
        assert np.abs(run(graph, small_windows.windows[:count]) - together[:count]).max() < 1e-6


def test_the_market_cap_and_the_currency_do_not_change_a_forecast(
    graph: onnxruntime.InferenceSession, small_windows: Windows
) -> None:
    changed = small_windows.windows[:500].copy()
    changed[..., :4] *= np.float32(2.0**-30)
    changed[..., 5] = np.nan
    assert np.abs(run(graph, changed) - run(graph, small_windows.windows[:500])).max() < 1e-6


def test_no_window_makes_a_forecast_that_is_not_finite(graph: onnxruntime.InferenceSession) -> None:
    generator = np.random.default_rng(1)
    wild = 10.0 ** generator.uniform(-12, 12, size=(2000, 10, 6))
    wild[generator.random(wild.shape) < 0.1] = np.nan
    wild[generator.random(wild.shape) < 0.02] = 0.0
    wild[generator.random(wild.shape) < 0.01] = np.inf
    wild[:10, :9] = np.nan  # only the last session is there
    wild[10] = np.nan
    forecast = run(graph, wild.astype(np.float32))
    assert np.isfinite(forecast).all()
    assert np.abs(forecast).max() <= 10.0  # 5 units of at most 2


def test_writing_again_gives_the_same_bytes(fitted: FittedModel, artifact: Path, tmp_path: Path) -> None:
    fitted.save_onnx(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == artifact.read_bytes()


def test_the_graph_has_no_operators_but_onnx_s_own(artifact: Path) -> None:
    assert {node.domain for node in onnx.load(artifact).graph.node} == {""}
