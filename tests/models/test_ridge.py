from __future__ import annotations

from pathlib import Path

import numpy as np

from include.backtest.windows import Windows
from models.features import FEATURES, compute_features
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
    directions = directions.reshape(100, -1)
    volatility, unchanged = features[..., -1].mean(axis=1)[:, None], features[..., -2].mean(axis=1)[:, None]
    columns = [directions, directions * volatility, directions * unchanged, volatility, unchanged, np.ones((100, 1))]
    expected = np.clip(np.concatenate(columns, axis=1) @ saved["coefficients"].T, -5, 5) * units
    assert np.abs(expected - fitted_ridge.predict(small_windows.windows[:100])).max() < 1e-6


def test_what_volatility_and_staleness_do_to_a_reversal_is_learned(small_windows: Windows) -> None:
    """Targets made of the newest body times a level, and of both levels alone, are found again, nearly exactly."""
    features, units = compute_features(small_windows.windows)
    volatility, unchanged = (features[..., FEATURES.index(name)].mean(axis=1) for name in ("volatility", "unchanged"))
    body = features[:, -1, FEATURES.index("body")]
    made = np.stack([2 + body * (0.1 - 0.2 * volatility), 2 - 0.3 * unchanged + 0.2 * volatility], axis=-1)
    model = RidgeModel(RidgeHyperparameters(alpha=1e-3))
    fitted = model.fit(small_windows.windows, made * units, seed=7, threads=2)
    assert relative_error(made * units, fitted.predict(small_windows.windows)) < 0.01


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
