from __future__ import annotations

import numpy as np
import pytest

from include.backtest.windows import Windows
from models.features import compute_features
from models.standardise import Lesson, prepare_lesson, standardise_targets


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 20 windows. Received: 19"):
        prepare_lesson(np.ones((19, 10, 6)), np.zeros((19, 2)))


def test_targets_are_measured_in_the_window_s_volatility_and_clipped() -> None:
    standardised = standardise_targets(np.array([[0.02, -0.04], [6.6, -6.6]]), np.array([[0.02], [0.1]]))
    assert standardised.tolist() == [[1.0, -2.0], [5.0, -5.0]]


def test_a_lesson_weighs_windows_by_their_volatility(small_windows: Windows) -> None:
    lesson = prepare_lesson(small_windows.windows[:500], small_windows.targets[:500])
    features, units = compute_features(small_windows.windows[:500])
    assert np.array_equal(lesson.features, features)
    assert lesson.importance.mean() == pytest.approx(1.0, rel=1e-5)
    assert lesson.importance[3] / lesson.importance[4] == pytest.approx(units[3, 0] / units[4, 0], rel=1e-5)


def make_lesson(targets: np.ndarray) -> Lesson:
    """Targets of one session a part, with features and units of nothing."""
    return Lesson(np.zeros((len(targets), 9, 8), dtype=np.float32), np.ones((len(targets), 1)), targets)


def test_a_lean_that_all_parts_share_is_trusted_and_one_that_comes_and_goes_is_not() -> None:
    steady, fickle = np.full(400, 0.01), np.repeat([0.01, -0.01] * 10, 20)
    assert make_lesson(np.stack([steady, fickle], axis=-1)).drift_trust == pytest.approx([1.0, 0.0])


def test_the_trust_in_a_lean_worked_by_hand() -> None:
    """Fifteen parts rise and five fall: mean lean 0.5, variance 15/19, t² = 0.25 / (15/19/20), trust 1 - 3/19."""
    lean = np.repeat([1.0] * 15 + [-1.0] * 5, 20)
    assert make_lesson(np.stack([lean, -lean], axis=-1)).drift_trust == pytest.approx([16 / 19, 16 / 19])


def test_what_is_not_trusted_of_the_median_forecast_is_taken_off() -> None:
    lean = np.repeat([1.0] * 15 + [-1.0] * 5, 20)
    excess = make_lesson(np.stack([lean, lean], axis=-1)).excess_drift(
        lambda features: np.tile([0.19, -0.38], (len(features), 1))
    )
    assert excess == pytest.approx([0.03, -0.06])
