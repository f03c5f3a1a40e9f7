from __future__ import annotations

from pathlib import Path

import numpy as np

from include.backtest.windows import Windows
from models.bigru import BiGRU
from models.dense_window import DenseWindow
from models.keras_fit import FittedKeras
from models.keras_runtime import keras
from models.ridge import RidgeModel


def test_it_forecasts_the_mean_of_its_members(fitted_ensemble: FittedKeras, small_windows: Windows) -> None:
    windows, targets, asked = small_windows.windows[:3000], small_windows.targets[:3000], small_windows.windows[3000:]
    members = [model.fit(windows, targets, seed=7, threads=2) for model in (RidgeModel(), DenseWindow(), BiGRU())]
    forecasts = [member.predict(asked) for member in members]
    assert np.abs(forecasts[0] - forecasts[1]).max() > 1e-3
    assert np.abs(np.mean(forecasts, axis=0) - fitted_ensemble.predict(asked)).max() < 1e-5


def test_each_member_is_told_and_its_losses_are_the_learning_curve(
    fitted_ensemble: FittedKeras, told_of_ensemble: list[tuple[int, int]]
) -> None:
    figures = [set(each) for each in fitted_ensemble.learning_curve]
    assert figures == [{"ridge_loss"}, {"dense_window_loss"}, {"bigru_loss"}]
    assert told_of_ensemble == [(1, 3), (2, 3), (3, 3)]


def test_the_original_reads_back(fitted_ensemble: FittedKeras, small_windows: Windows, tmp_path: Path) -> None:
    fitted_ensemble.save_original(tmp_path)
    read = keras.models.load_model(tmp_path / "ensemble.keras", safe_mode=True, compile=False)
    asked = small_windows.windows[:500]
    # Batches of another size add up in another order.
    assert np.abs(read.predict(asked, verbose=0) - fitted_ensemble.predict(asked)).max() < 1e-6
