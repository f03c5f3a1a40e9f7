from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.last_close import LastClose


@pytest.mark.parametrize("lookback", [1, 8])
def test_the_graph_forecasts_zero_whatever_the_window(lookback: int, tmp_path: Path) -> None:
    fitted = LastClose().fit(np.zeros((0, 1, 6)), np.zeros((0, 2)), seed=7, threads=1)
    fitted.save_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    windows = np.full((5, lookback, 6), np.nan, dtype=np.float32)
    (forecast,) = session.run(["log_return"], {"window": windows})
    assert forecast.dtype == np.float32
    assert np.array_equal(forecast, np.zeros((5, 2)))
    assert np.array_equal(forecast, fitted.predict(windows))


def test_the_original_is_its_hyperparameters(tmp_path: Path) -> None:
    fitted = LastClose().fit(np.zeros((0, 1, 6)), np.zeros((0, 2)), seed=7, threads=1)
    fitted.save_original(tmp_path)
    assert json.loads((tmp_path / "last_close.json").read_text()) == {"lookback": 1}
    assert fitted.learning_curve == []
