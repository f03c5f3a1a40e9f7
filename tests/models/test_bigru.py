from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.training.windows import Windows
from models.bigru import BiGRU, FittedBiGRU
from models.keras_runtime import keras
from models.metrics import relative_error
from models.standardise import count_training


def test_it_beats_the_last_close_where_there_is_a_signal(fitted_bigru: FittedBiGRU, small_windows: Windows) -> None:
    newest = slice(-len(small_windows) // 10, None)
    forecast = fitted_bigru.predict(small_windows.windows[newest])
    assert relative_error(small_windows.targets[newest], forecast) < 0.97


def test_the_original_reads_back_as_the_same_model(
    fitted_bigru: FittedBiGRU, small_windows: Windows, tmp_path: Path
) -> None:
    fitted_bigru.save_original(tmp_path)
    read = keras.models.load_model(tmp_path / "bigru.keras", safe_mode=True, compile=False)
    windows = small_windows.windows[:500]
    assert np.array_equal(read.predict(windows, verbose=0), fitted_bigru.predict(windows))


def test_the_same_seed_gives_the_same_forecasts_and_each_epoch_is_told(
    small_bigru: BiGRU, fitted_bigru: FittedBiGRU, small_windows: Windows
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


def test_what_the_newest_tenth_contradicts_is_shrunk(small_bigru: BiGRU, small_windows: Windows) -> None:
    """Two fits on the same nine tenths, all up; the newest tenth says down in one: a quarter of the other remains."""
    upward, contradicted = np.full_like(small_windows.targets, 0.05), np.full_like(small_windows.targets, 0.05)
    contradicted[count_training(len(upward)) :] = -0.05
    once = BiGRU(replace(small_bigru.hyperparameters, epochs=1))  # the newest tenth also stops a fit: not here
    full, shrunk = (
        once.fit(small_windows.windows, targets, seed=7, threads=2).predict(small_windows.windows[:100])
        for targets in (upward, contradicted)
    )
    assert shrunk == pytest.approx(full / 4, rel=1e-4)


def test_too_few_windows_are_refused(small_bigru: BiGRU, small_windows: Windows) -> None:
    with pytest.raises(ValueError, match="at least 20 windows"):
        small_bigru.fit(small_windows.windows[:19], small_windows.targets[:19], seed=7, threads=2)
