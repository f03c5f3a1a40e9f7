"""Conformal intervals: ranks by hand, cohorts, adapting, new listings, prices that do not move, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from include.backtest.intervals import (
    ADAPTATION,
    CALIBRATION_SESSIONS,
    COHORTS,
    FEW_SCORES,
    FEWEST_SESSIONS,
    LARGEST_ADAPTATION,
    SMALLEST_UNIT,
    Calibration,
    fit_calibration,
    lay_intervals,
    scale_errors,
    walk_calibrations,
    walk_intervals,
)
from include.errors import InputError

FIELDS = ("edges", "counts", "outside", "offsets", "cold_offsets")


def draw_returns(sessions: int, symbols: int, *, still: float = 0.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Heavy-tailed returns of which a share is zero, and each symbol's volatility, (sessions, symbols)."""
    rng = np.random.default_rng(seed)
    volatility = np.broadcast_to(np.geomspace(0.001, 0.1, symbols), (sessions, symbols)).astype(np.float32)
    moves = rng.standard_t(4, volatility.shape) * (rng.random(volatility.shape) >= still)
    return (moves * volatility).astype(np.float32), volatility


def test_the_whole_pools_offsets_are_the_ranks_worked_by_hand() -> None:
    # Of 39 scores -19..19 the bounds of 95 % are ranks 1 and 39 of 40, of 80 % ranks 4 and 36.
    scores = np.full((FEWEST_SESSIONS, 4), np.nan)
    scores.flat[:39] = np.random.default_rng(0).permutation(np.arange(-19, 20))
    found = fit_calibration(scores, np.full(scores.shape, 0.02))
    np.testing.assert_array_equal(found.cold_offsets, [[-16, 16], [-19, 19]])
    # One volatility puts all scores into one cohort, whose ranks are the pool's; the others are given the pool's.
    np.testing.assert_array_equal(found.counts, [*[0] * (COHORTS - 1), 39])
    np.testing.assert_allclose(found.offsets, np.tile(found.cold_offsets, (COHORTS, 1, 1)))
    scores.flat[38] = np.nan
    found = fit_calibration(scores, np.full(scores.shape, 0.02))
    assert np.isfinite(found.offsets[:, 0]).all()
    assert np.isnan(found.offsets[:, 1]).all()


def test_too_few_sessions_give_no_bounds() -> None:
    actual, volatility = draw_returns(FEWEST_SESSIONS, 200)
    scores = scale_errors(actual, np.zeros_like(actual), volatility)
    assert np.isfinite(fit_calibration(scores, volatility).offsets).all()
    scores[3] = np.nan
    found = fit_calibration(scores, volatility)
    assert np.isnan(found.offsets).all()
    assert np.isnan(lay_intervals(found, actual[0], volatility[0])).all()
    assert np.isnan(fit_calibration(scores[:0], volatility[:0]).cold_offsets).all()


def test_only_the_newest_sessions_count() -> None:
    actual, volatility = draw_returns(CALIBRATION_SESSIONS + 5, 50)
    newest = slice(5, None)
    found, expected = (fit_calibration(actual[rows], volatility[rows]) for rows in (slice(None), newest))
    np.testing.assert_array_equal(found.offsets, expected.offsets)


def test_the_forecast_is_always_inside() -> None:
    scores = np.linspace(1, 2, 990).reshape(10, 99)
    found = fit_calibration(scores, np.full(scores.shape, 0.1), [80])
    assert found.cold_offsets.tolist() == [[0.0, np.float32(scores.flat[990 - 99])]]
    assert (found.offsets[..., 0] == 0).all()


def test_errors_are_actual_less_forecast_in_each_symbols_unit() -> None:
    np.testing.assert_allclose(scale_errors(np.array([0.03]), np.array([0.01]), np.array([0.04])), [0.5])
    np.testing.assert_allclose(scale_errors(np.array([SMALLEST_UNIT]), np.array([0.0]), np.array([0.0])), [1.0])


def test_a_cohort_has_the_scores_between_its_edges_and_a_small_one_is_drawn_to_the_pool() -> None:
    rng = np.random.default_rng(5)
    volatility = np.tile(np.arange(1, 101, dtype=np.float32), (20, 1))
    scores = np.where(volatility > 50, 4, 1) * rng.uniform(-1, 1, volatility.shape)
    found = fit_calibration(scores, volatility, [80])
    np.testing.assert_allclose(found.edges, np.arange(10, 100, 10) + 0.6, atol=0.5)
    np.testing.assert_array_equal(found.counts, 200)
    calmest = np.sort(scores[:, :10], axis=None)
    weight = 200 / (200 + FEW_SCORES)
    expected = weight * calmest[[19, 180]] + (1 - weight) * found.cold_offsets[0]
    np.testing.assert_allclose(found.offsets[0, 0], expected, rtol=1e-6)
    assert (found.offsets[5:, 0, 1] > 1.5 * found.offsets[:5, 0, 1]).all()


def test_bounds_are_laid_by_cohort_in_each_symbols_own_unit() -> None:
    offsets = np.stack([np.array([[-k, 2 * k]]) for k in range(1, COHORTS + 1)]).astype(float)
    edges = np.arange(1, COHORTS, dtype=np.float32) / 100
    counts, outside = np.ones(COHORTS, dtype=np.int64), np.full((COHORTS, 1), 0.2)
    calibration = Calibration((80,), edges, counts, outside, offsets, np.array([[-3.0, 4.0]]), 0.5)
    volatility = np.array([0.0, 0.01, 0.2, np.nan], dtype=np.float32)  # an edge belongs to the wilder side
    lower, upper = lay_intervals(calibration, np.array([0.0, 0.01, 0.0, 0.1], dtype=np.float32), volatility)
    assert lower.dtype == upper.dtype == np.float32
    np.testing.assert_allclose(lower, [[-1e-4, 0.01 - 0.02, -2.0, 0.1 - 1.5]], rtol=1e-5)
    np.testing.assert_allclose(upper, [[2e-4, 0.01 + 0.04, 4.0, 0.1 + 2.0]], rtol=1e-5)


def test_the_share_outside_takes_a_step_against_what_was_outside() -> None:
    actual, volatility = draw_returns(30, 1000)
    first = fit_calibration(actual / volatility, volatility)
    np.testing.assert_array_equal(first.outside, np.tile([1 - 0.8, 1 - 0.95], (COHORTS, 1)))
    newest = np.zeros((1, 1000))
    newest[0, 900:] = 1e3  # of the wildest cohort all are outside, of the others none
    scores = np.concatenate([(actual / volatility)[1:], newest])
    found = fit_calibration(scores, volatility, previous=first)
    np.testing.assert_allclose(found.outside[:-1, 0], 0.2 + ADAPTATION * 0.2 * 0.2)
    np.testing.assert_allclose(found.outside[-1, 0], 0.2 - ADAPTATION * 0.2 * 0.8)
    assert found.offsets[-1, 0, 1] > fit_calibration(scores, volatility).offsets[-1, 0, 1]
    for _ in range(40):
        found = fit_calibration(scores, volatility, previous=found)
    np.testing.assert_allclose(found.outside[-1], np.array([0.2, 0.05]) / LARGEST_ADAPTATION)


def test_a_session_without_outcomes_or_without_bounds_leaves_the_share_outside_as_it_was() -> None:
    actual, volatility = draw_returns(12, 300)
    early = fit_calibration(actual[:5], volatility[:5])
    assert (fit_calibration(actual, volatility, previous=early).outside == early.outside).all()
    actual[-1] = np.nan
    first = fit_calibration(actual[:-1], volatility[:-1])
    assert (fit_calibration(actual, volatility, previous=first).outside == first.outside).all()


@pytest.mark.parametrize("levels", [[100], [0]])
def test_levels_outside_the_range_are_refused(levels: list[int]) -> None:
    with pytest.raises(InputError, match=rf"above 0 and below 100 percent\. Received: {levels[0]}"):
        fit_calibration(np.zeros((20, 5)), np.ones((20, 5)), levels)


def test_a_previous_calibration_must_have_the_same_levels() -> None:
    actual, volatility = draw_returns(12, 50)
    with pytest.raises(InputError, match=r"those of the previous calibration\. Received: \(90,\)"):
        fit_calibration(actual, volatility, [90], previous=fit_calibration(actual, volatility))


@pytest.mark.parametrize("sessions", [4, 30])
def test_json_gives_the_same_bits_back(sessions: int) -> None:
    actual, volatility = draw_returns(sessions, 300)
    made = fit_calibration(actual / volatility, volatility)
    text = json.dumps(made.to_json(), allow_nan=False)
    read = Calibration.from_json(json.loads(text))
    assert json.dumps(read.to_json()) == text
    assert (read.levels, read.cold_unit) == (made.levels, made.cold_unit)
    for field in FIELDS:
        assert getattr(read, field).dtype == getattr(made, field).dtype
        assert getattr(read, field).tobytes() == getattr(made, field).tobytes()


@pytest.mark.parametrize("still", [0.0, 0.5, 0.9])
def test_later_sessions_are_covered_in_every_cohort_with_any_share_of_prices_that_do_not_move(still: float) -> None:
    actual, volatility = draw_returns(80, 600, still=still)
    lower, upper = walk_intervals(actual, np.zeros_like(actual), volatility)
    assert np.isnan(lower[:, :FEWEST_SESSIONS]).all()
    inside = ((lower <= actual) & (actual <= upper))[:, FEWEST_SESSIONS:]
    np.testing.assert_allclose(inside.mean(axis=(1, 2)), np.maximum([0.8, 0.95], still), atol=0.015)
    by_cohort = inside.reshape(2, len(inside[0]), COHORTS, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(by_cohort, np.maximum([[0.8], [0.95]], still) + 0 * by_cohort, atol=0.03)


def test_calm_and_wild_symbols_are_covered_alike_whatever_their_tails() -> None:
    # The wild half moves half as far as its volatility says, the calm one twice as far.
    actual, volatility = draw_returns(80, 600)
    actual = actual * np.where(np.arange(600) < 300, 2, 0.5)
    lower, upper = walk_intervals(actual, np.zeros_like(actual), volatility)
    inside = ((lower <= actual) & (actual <= upper))[0, FEWEST_SESSIONS:]
    np.testing.assert_allclose([inside[:, :300].mean(), inside[:, 300:].mean()], 0.8, atol=0.02)


def test_adapting_makes_good_what_a_change_of_regime_left_outside() -> None:
    actual, volatility = draw_returns(100, 400)
    actual[50:] *= 3  # and the volatility that is known never learns of it
    lower, upper = walk_intervals(actual, np.zeros_like(actual), volatility)
    inside = ((lower <= actual) & (actual <= upper))[0].mean(axis=1)
    fixed = np.full(100, np.nan)
    for row in range(FEWEST_SESSIONS, 100):
        calibration = fit_calibration((actual / volatility)[:row], volatility[:row])
        low, high = lay_intervals(calibration, np.zeros(400), volatility[row])
        fixed[row] = ((low <= actual[row]) & (actual[row] <= high))[0].mean()
    assert inside[50] == pytest.approx(fixed[50], abs=0.02)
    assert inside[50] < 0.5
    assert inside[50:].mean() == pytest.approx(0.8, abs=0.03)
    assert fixed[50:].mean() < 0.7


def test_new_listings_are_covered_by_the_pool_in_a_wild_symbols_unit() -> None:
    actual, volatility = draw_returns(30, 1000)
    calibration = fit_calibration(actual / volatility, volatility)
    assert calibration.cold_unit == pytest.approx(np.quantile(volatility[0], 0.8), rel=0.02)
    today, _ = draw_returns(1, 1000, seed=8)
    unknown = np.full(1000, np.nan)
    lower, upper = lay_intervals(calibration, np.zeros(1000), unknown)
    assert len(np.unique(upper[0])) == 1
    assert ((lower <= today) & (today <= upper))[0].mean() > 0.8
    np.testing.assert_allclose(upper[:, 0], calibration.cold_offsets[:, 1] * calibration.cold_unit, rtol=1e-5)


def test_the_walk_is_the_two_functions_session_by_session() -> None:
    actual, volatility = draw_returns(45, 100)
    forecast = np.full_like(actual, 0.001)
    scores = scale_errors(actual, forecast, volatility)
    lower, upper = walk_intervals(actual, forecast, volatility)
    *_, (row, last) = walk_calibrations(scores[:-1], volatility[:-1])
    assert row == 44
    np.testing.assert_array_equal(lay_intervals(last, forecast[-1], volatility[-1]), [lower[:, -1], upper[:, -1]])


def test_a_sessions_bounds_know_nothing_of_it_or_of_later_ones() -> None:
    rng = np.random.default_rng(4)
    actual, volatility = rng.normal(0, 0.02, (40, 50)), np.full((40, 50), 0.02)
    spoilt = actual.copy()
    spoilt[25:] = 5.0
    before, after = (walk_intervals(each, np.zeros_like(each), volatility)[1] for each in (actual, spoilt))
    np.testing.assert_array_equal(before[:, :26], after[:, :26])
    assert (after[1, 26:] > before[1, 26:]).all()
