"""The models that learn nothing: their graphs against numbers worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.catalog import NAIVE_NAMES, build_model
from models.drift_naive import DriftNaive, DriftNaiveHyperparameters
from models.protocol import Model
from models.seasonal_naive import SeasonalNaive, SeasonalNaiveHyperparameters

EMPTY = np.zeros((0, 8, 6)), np.zeros((0, 2))


def run_graph(model: Model, windows: np.ndarray, folder: Path) -> np.ndarray:
    """Forecast by the graph, once it is known to give what the model itself does."""
    fitted = model.fit(*EMPTY, seed=7, threads=1)
    fitted.save_onnx(folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (forecast,) = session.run(["log_return"], {"window": windows.astype(np.float32)})
    assert forecast.dtype == np.float32
    assert forecast == pytest.approx(
        fitted.predict(windows.astype(np.float32)), rel=1e-6, abs=1e-5
    )  # sums of logs up to 69
    return forecast


def make_window(opens: list[float], closes: list[float]) -> np.ndarray:
    """One window (1, lookback, 6) with these prices and nothing else that is a number."""
    window = np.full((1, len(opens), 6), np.nan)
    window[0, :, 0], window[0, :, 3] = opens, closes
    return window


def test_a_season_ago_is_forecast_again(tmp_path: Path) -> None:
    """Season 3: after closes 10, 12 (open 11), 6, 9 the next session repeats 10 to 11 and 10 to 12."""
    window = make_window([9, 11, 7, 8], [10, 12, 6, 9])
    model = SeasonalNaive(SeasonalNaiveHyperparameters(season=3))
    assert model.lookback == 4
    assert run_graph(model, window, tmp_path)[0] == pytest.approx(np.log([1.1, 1.2]), rel=1e-6)


def test_a_week_of_a_market_that_never_closes_is_the_default(tmp_path: Path) -> None:
    assert SeasonalNaive().lookback == 8
    window = make_window([1, 3, *[5] * 6], [2, 4, *[5] * 6])
    assert run_graph(SeasonalNaive(), window, tmp_path)[0] == pytest.approx(np.log([1.5, 2.0]), rel=1e-6)


def test_the_mean_return_is_forecast_again(tmp_path: Path) -> None:
    """Closes 8, 4, 16 after opens 2 and 8: log returns of close -log 2 and 2 log 2, of open -2 log 2 and log 2."""
    window = make_window([1, 2, 8], [8, 4, 16])
    forecast = run_graph(DriftNaive(DriftNaiveHyperparameters(lookback=3)), window, tmp_path)
    assert forecast[0] == pytest.approx(np.array([-0.5, 0.5]) * np.log(2), rel=1e-6)


def test_the_mean_is_over_neighbours_that_are_there(tmp_path: Path) -> None:
    nan = np.nan
    window = make_window([1, 2, nan, 5, 6], [2, 4, nan, 5, 10])
    forecast = run_graph(DriftNaive(DriftNaiveHyperparameters(lookback=5)), window, tmp_path)
    assert forecast[0] == pytest.approx([np.log(6 / 5) / 2, (np.log(2) + np.log(2)) / 2], rel=1e-6)


@pytest.mark.parametrize("name", NAIVE_NAMES)
def test_what_is_missing_or_absurd_counts_as_no_move(name: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    windows = 10.0 ** generator.uniform(-12, 12, size=(500, 8, 6))
    for value, share in ((np.nan, 0.3), (0.0, 0.1), (np.inf, 0.05), (-1.0, 0.05)):
        windows[generator.random(windows.shape) < share] = value
    windows[0] = np.nan
    forecast = run_graph(build_model(name), windows, tmp_path)
    assert np.isfinite(forecast).all()
    assert forecast[0].tolist() == [0.0, 0.0]
    assert name == "last_close" or np.abs(forecast).max() > 1.0


@pytest.mark.parametrize("name", NAIVE_NAMES)
def test_the_original_is_its_hyperparameters_and_the_bytes_are_the_same_again(name: str, tmp_path: Path) -> None:
    fitted = build_model(name).fit(*EMPTY, seed=7, threads=1)
    fitted.save_original(tmp_path)
    original = json.loads((tmp_path / f"{name}.json").read_text())
    assert (
        original
        == {"last_close": {"lookback": 1}, "seasonal_naive": {"season": 7}, "drift_naive": {"lookback": 8}}[name]
    )
    assert fitted.learning_curve == []
    fitted.save_onnx(tmp_path / "once.onnx")
    build_model(name).fit(*EMPTY, seed=8, threads=2).save_onnx(tmp_path / "again.onnx")
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
