from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from include.backtest.windows import Windows
from models.bigru import BiGRU
from models.keras_fit import FittedKeras
from models.keras_runtime import keras
from models.metrics import relative_error


def test_it_beats_the_last_close_where_there_is_a_signal(fitted_bigru: FittedKeras, small_windows: Windows) -> None:
    newest = slice(-len(small_windows) // 10, None)
    forecast = fitted_bigru.predict(small_windows.windows[newest])
    assert relative_error(small_windows.targets[newest], forecast) < 0.97


def test_the_original_reads_back_as_the_same_model(
    fitted_bigru: FittedKeras, small_windows: Windows, tmp_path: Path
) -> None:
    fitted_bigru.save_original(tmp_path)
    read = keras.models.load_model(tmp_path / "bigru.keras", safe_mode=True, compile=False)
    windows = small_windows.windows[:500]
    # Batches of another size add up in another order.
    assert np.abs(read.predict(windows, verbose=0) - fitted_bigru.predict(windows)).max() < 1e-6


def test_the_same_seed_gives_the_same_forecasts_and_each_epoch_is_told(
    small_bigru: BiGRU, fitted_bigru: FittedKeras, small_windows: Windows
) -> None:
    told: list[tuple[int, int]] = []
    again = small_bigru.fit(
        small_windows.windows,
        small_windows.targets,
        seed=7,
        threads=2,
        on_progress=lambda epoch, epochs, figures: told.append((epoch, epochs)),
    )
    windows = small_windows.windows[:2000]
    assert np.abs(again.predict(windows) - fitted_bigru.predict(windows)).max() < 1e-6
    assert told == [(1, 2), (2, 2)]
    assert len(again.learning_curve) == 2
    assert again.learning_curve[0]["loss"] > again.learning_curve[1]["loss"]


def test_a_fit_that_died_goes_on_from_its_last_epoch(
    small_bigru: BiGRU, small_windows: Windows, tmp_path: Path
) -> None:
    checkpoint, told = tmp_path / "checkpoint", []

    def die(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        raise KeyboardInterrupt

    def tell(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        told.append(epoch)

    asked = {"seed": 7, "threads": 2, "checkpoint": checkpoint}
    with pytest.raises(KeyboardInterrupt):
        small_bigru.fit(small_windows.windows, small_windows.targets, **asked, on_progress=die)
    assert checkpoint.exists()
    fitted = small_bigru.fit(small_windows.windows, small_windows.targets, **asked, on_progress=tell)
    assert told == [2]
    assert not checkpoint.exists()
    newest = slice(-len(small_windows) // 10, None)
    forecast = fitted.predict(small_windows.windows[newest])
    assert relative_error(small_windows.targets[newest], forecast) < 0.97
