from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backtest.windows import Windows
from models.features import CLIP, FEATURES, SCALE_CEILING, SCALE_FLOOR, compute_features

NAN_ROW = [np.nan] * 6


def features_of(*rows: list[float]) -> tuple[np.ndarray, float]:
    """Features (lookback - 1, 8) and the unit of one window."""
    features, units = compute_features(np.array([rows], dtype=np.float32))
    return features[0], float(units[0, 0])


def test_a_window_worked_by_hand() -> None:
    """Close 100, then open 110, high 132, low 99, close 121, and twice the volume.

    Logs: gap log 1.1, body log 1.1, upper log 132/121, lower log 110/99; the unit is 0.7 of their sum, log(22/15).
    """
    features, unit = features_of([99, 101, 98, 100, 50, 1e6], [110, 132, 99, 121, 100, 1e6])
    assert unit == pytest.approx(0.7 * np.log(1.1 * 1.1 * 132 / 121 * 110 / 99), rel=1e-6)
    moves = np.log([1.1, 1.1, 132 / 121, 110 / 99]) / unit
    level = (np.log(unit) - np.log(0.05)) / 3
    assert features[0] == pytest.approx([*moves, np.log(2.0), 0.0, 0.0, level], rel=1e-5)


def test_an_absent_session_is_zeros_and_a_flag_and_takes_the_next_gap_with_it() -> None:
    first, last = [10, 11, 9, 10, 5, 1e3], [12, 13, 11, 12.5, 6, 1e3]
    features, _ = features_of(first, NAN_ROW, last)
    assert features[0, :-1].tolist() == [0, 0, 0, 0, 0, 1, 0]
    named = dict(zip(FEATURES, features[1], strict=True))
    assert named["gap"] == named["volume_change"] == named["absent"] == 0.0
    assert named["body"] > 0.0


@pytest.mark.parametrize("volume", [np.nan, 0.0, np.inf, -1.0])
def test_a_volume_without_a_logarithm_is_no_change(volume: float) -> None:
    features, _ = features_of([10, 11, 9, 10, 5, 1e3], [10, 11, 9, 10, volume, np.nan])
    assert features[0, FEATURES.index("volume_change")] == 0.0


@settings(max_examples=30, deadline=None)
@given(exponent=st.floats(-11, 11))
def test_features_do_not_depend_on_the_currency(exponent: float, small_windows: Windows) -> None:
    """Prices from 1e-8 to 1e8 times as large give the same features, to float32."""
    windows = small_windows.windows[:50].astype(np.float64)
    windows[..., :4] *= 10.0**exponent
    features, units = compute_features(windows.astype(np.float32))
    expected, expected_units = compute_features(small_windows.windows[:50])
    # A ratio of two rounded prices is off by at most 2^-23; a unit of volatility here is 1e-4 or more.
    assert np.abs(features - expected)[expected_units[:, 0] > 5e-3].max() < 2e-4
    assert units == pytest.approx(expected_units, rel=1e-3)


def test_a_close_is_unchanged_to_the_last_digit_or_not() -> None:
    features, _ = features_of([5, 9, 4, 7, 1, 1], [5, 9, 4, 7, 1, 1], [5, 9, 4, np.nextafter(np.float32(7), 8), 1, 1])
    assert features[:, FEATURES.index("unchanged")].tolist() == [1.0, 0.0]


def test_one_wild_day_widens_the_unit_but_little() -> None:
    calm = [[100, 101, 99, 100, 1, 1]] * 9
    wild = [*calm[:-1], [100, 72_300, 100, 72_300, 1, 1]]
    assert features_of(*wild)[1] < 10 * features_of(*calm)[1]


def test_the_unit_and_the_features_are_bounded() -> None:
    stale, stale_unit = features_of(*[[5, 5, 5, 5, 0, 1]] * 8)
    assert stale_unit == pytest.approx(SCALE_FLOOR)
    assert not stale[:, :-2].any()
    assert stale[:, FEATURES.index("unchanged")].all()
    absurd, absurd_unit = features_of(*[[1e-12, 1e12, 1e-12, 1e12, 1, 1]] * 8)
    assert absurd_unit == pytest.approx(SCALE_CEILING)
    assert np.abs(absurd).max() == CLIP
