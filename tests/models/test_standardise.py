from __future__ import annotations

import numpy as np
import pytest

from models.standardise import choose_shrinkage, count_training, standardise_targets


def test_the_newest_tenth_validates() -> None:
    assert count_training(300_000) == 270_000
    assert count_training(20) == 18


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 20 windows. Received: 19"):
        count_training(19)


def test_targets_are_measured_in_the_window_s_volatility_and_clipped() -> None:
    standardised = standardise_targets(np.array([[0.02, -0.04], [6.6, -6.6]]), np.array([[0.02], [0.1]]))
    assert standardised.tolist() == [[1.0, -2.0], [5.0, -5.0]]


def test_shrinkage_is_chosen_for_each_target_alone() -> None:
    targets = np.array([[0.1, 0.1], [-0.1, -0.1]])
    assert choose_shrinkage(targets, targets * [2.0, -1.0]).tolist() == [0.5, 0.25]
    assert choose_shrinkage(targets, targets).tolist() == [1.0, 1.0]
