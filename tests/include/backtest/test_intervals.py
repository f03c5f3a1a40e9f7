"""Split conformal intervals: ranks by hand, coverage on later sessions, prices that do not move."""

from __future__ import annotations

import numpy as np
import pytest

from include.backtest.intervals import FEWEST_SESSIONS, bound, calibrate, scale_errors, walk_intervals
from include.errors import InputError


def test_offsets_are_the_ranks_worked_by_hand() -> None:
    # Of 39 scores -19..19 the bounds of 95 % are ranks 1 and 39 of 40, of 80 % ranks 4 and 36.
    scores = np.random.default_rng(0).permutation(np.arange(-19, 20)).astype(np.float32)
    np.testing.assert_array_equal(calibrate(scores), [[-16, 16], [-19, 19]])


def test_too_few_scores_give_no_bounds() -> None:
    offsets = calibrate(np.arange(-19, 19, dtype=np.float32))
    assert np.isfinite(offsets[0]).all()
    assert np.isnan(offsets[1]).all()
    assert np.isnan(calibrate(np.array([np.nan, np.inf]))).all()


def test_the_forecast_is_always_inside() -> None:
    np.testing.assert_array_equal(calibrate(np.linspace(1, 2, 99), [80]), [[0.0, np.linspace(1, 2, 99)[89]]])


def test_bounds_are_laid_in_each_symbols_own_unit() -> None:
    lower, upper = bound(np.array([0.0, 0.01]), np.array([0.1, 0.0]), np.array([[-1.0, 2.0]]))
    np.testing.assert_allclose(lower, [[-0.1, 0.01 - 1e-4]], rtol=1e-6)
    np.testing.assert_allclose(upper, [[0.2, 0.01 + 2e-4]], rtol=1e-6)


def test_errors_are_actual_less_forecast() -> None:
    np.testing.assert_allclose(scale_errors(np.array([0.03]), np.array([0.01]), np.array([0.04])), [0.5])


def test_levels_outside_the_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"above 0 and below 100 percent\. Received: 100"):
        calibrate(np.zeros(50), [100])


@pytest.mark.parametrize("still", [0.0, 0.5, 0.9])
def test_later_sessions_are_covered_with_any_share_of_prices_that_do_not_move(still: float) -> None:
    rng = np.random.default_rng(3)
    volatility = np.broadcast_to(np.geomspace(0.001, 0.1, 400), (60, 400))
    actual = (rng.standard_t(4, (60, 400)) * volatility * (rng.random((60, 400)) >= still)).astype(np.float32)
    forecast = np.zeros_like(actual)
    lower, upper = walk_intervals(actual, forecast, volatility)
    assert np.isnan(lower[:, :FEWEST_SESSIONS]).all()
    inside = ((lower <= actual) & (actual <= upper))[:, FEWEST_SESSIONS:].mean(axis=(1, 2))
    np.testing.assert_allclose(inside, np.maximum([0.8, 0.95], still + 0 * inside), atol=0.01)


def test_a_sessions_bounds_know_nothing_of_it_or_of_later_ones() -> None:
    rng = np.random.default_rng(4)
    actual, volatility = rng.normal(0, 0.02, (40, 50)), np.full((40, 50), 0.02)
    spoilt = actual.copy()
    spoilt[25:] = 5.0
    before, after = (walk_intervals(each, np.zeros_like(each), volatility)[1] for each in (actual, spoilt))
    np.testing.assert_array_equal(before[:, :26], after[:, :26])
    assert (after[1, 26:] > before[1, 26:]).all()
