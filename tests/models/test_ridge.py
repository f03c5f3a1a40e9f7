from __future__ import annotations

from pathlib import Path

import numpy as np

from include.training.windows import Windows
from models.features import compute_features
from models.metrics import relative_error
from models.ridge import FittedRidge, RidgeHyperparameters, RidgeModel


def test_it_beats_the_last_close_where_there_is_a_signal(fitted_ridge: FittedRidge, small_windows: Windows) -> None:
    newest = slice(-len(small_windows) // 10, None)
    forecast = fitted_ridge.predict(small_windows.windows[newest])
    assert relative_error(small_windows.targets[newest], forecast) < 0.97


def test_the_original_alone_gives_the_forecast(
    fitted_ridge: FittedRidge, small_windows: Windows, tmp_path: Path
) -> None:
    fitted_ridge.save_original(tmp_path)
    saved = np.load(tmp_path / "ridge.npz", allow_pickle=False)
    features, units = compute_features(small_windows.windows[:100])
    directions = np.stack([features[..., 0], features[..., 1], features[..., 2] - features[..., 3]], axis=-1)
    linear = directions.reshape(100, -1) @ saved["coefficients"].T
    expected = np.clip(linear * saved["shrinkage"], -5, 5) * units
    assert np.abs(expected - fitted_ridge.predict(small_windows.windows[:100])).max() < 1e-7


def test_a_market_that_only_rises_teaches_it_no_drift(small_windows: Windows) -> None:
    """A mirrored window has exactly the negated forecast, whatever the targets were."""
    rising = np.abs(small_windows.targets)
    fitted = RidgeModel().fit(small_windows.windows, rising, seed=7, threads=2)
    inverse = small_windows.windows[:200].copy()
    inverse[..., :4] = 1.0 / inverse[..., (0, 2, 1, 3)]
    up, down = fitted.predict(small_windows.windows[:200]), fitted.predict(inverse)
    assert np.abs(up).max() > 1e-4
    assert np.abs(up + down).max() < 1e-5


def test_the_same_seed_gives_the_same_forecasts(fitted_ridge: FittedRidge, small_windows: Windows) -> None:
    again = RidgeModel().fit(small_windows.windows, small_windows.targets, seed=7, threads=2)
    windows = small_windows.windows[:500]
    assert np.abs(again.predict(windows) - fitted_ridge.predict(windows)).max() < 1e-9


def test_reweighting_comes_nearer_to_absolute_loss_and_each_round_is_told(small_windows: Windows) -> None:
    told: list[tuple[int, int]] = []
    model = RidgeModel(RidgeHyperparameters(reweightings=3))
    fitted = model.fit(
        small_windows.windows,
        small_windows.targets,
        seed=7,
        threads=2,
        on_progress=lambda step, steps, figures: told.append((step, steps)),
    )
    losses = [figures["loss"] for figures in fitted.learning_curve]
    assert losses[0] > losses[-1]
    assert told == [(1, 3), (2, 3), (3, 3)]
