"""What tells cells apart was known before their session."""

from __future__ import annotations

import numpy as np
import pytest

from include.backtest.cohorts import LARGEST_MOVE, find_cohorts, measure_volatility
from include.backtest.heldout import hold_out
from tests.include.backtest.cubes import build_cube, walk_bars


def test_volatility_is_the_mean_move_up_to_the_origin() -> None:
    values = np.full((5, 1, 6), np.nan, dtype=np.float32)
    values[:, 0, 3] = np.exp([0.0, 0.1, -0.1, -0.1, 0.3])  # closes move by 0.1, 0.2, 0, 0.4
    values[:, 0, 0] = np.exp([0.0, 0.05, 0.0, -0.1, 0.0])  # opens lie 0.05, 0.1, 0, 0.1 from the close before
    found = measure_volatility(values, range(2, 4), sessions=2, fewest=1)
    np.testing.assert_allclose(found[:, 0], [[0.075, 0.15], [0.05, 0.1]], rtol=1e-5)


def test_a_hole_breaks_two_moves_and_a_wild_one_counts_as_the_largest() -> None:
    values = np.full((6, 2, 6), 1.0, dtype=np.float32)
    values[2, 0] = np.nan
    values[4:, 1] = 723.0
    found = measure_volatility(values, range(4, 5), sessions=4, fewest=1)[0]
    assert found[0].tolist() == [0, 0]
    np.testing.assert_allclose(found[1], LARGEST_MOVE / 4, rtol=1e-6)
    values[:, 0] = np.nan
    assert np.isnan(measure_volatility(values, range(4, 5), sessions=4, fewest=1)[0, 0]).all()


def test_a_new_listing_has_no_volatility_before_its_fifth_return() -> None:
    values = walk_bars(30, 2)
    values[:20, 0] = np.nan  # its first return is that of position 21
    found = measure_volatility(values, range(20, 30))
    assert np.isfinite(found[:, 0]).all(axis=1).tolist() == [False] * 5 + [True] * 5
    assert np.isfinite(found[:, 1]).all()


def test_groups_are_by_what_was_known() -> None:
    values = walk_bars(300, 20)
    values[:260, 3] = np.nan  # listed 40 sessions before the end
    values[:, 5, 5] = np.nan  # no market cap
    cube = build_cube(values)
    held = hold_out(cube, 290)
    symbol = np.nonzero(held.cells)[1]
    spoilt = values.copy()
    spoilt[-1] *= 3
    for each in (cube, build_cube(spoilt)):
        whole, wild, cap, age = find_cohorts(each, held, measure_volatility(each.values, held.origins))
        assert (whole.codes == 0).all()
        assert wild.codes[symbol == 19].mean() > 8 > 1 > wild.codes[symbol == 0].mean()
        assert (cap.codes[symbol == 5] == -1).all()
        assert set(cap.codes[symbol == 19]) == {9}
        assert [age.labels[code] for code in np.unique(age.codes[symbol == 3])] == ["below 30", "30 to 89"]
        assert {age.labels[code] for code in age.codes[symbol == 4]} == {"250 or more"}


def test_an_age_counts_sessions_since_the_first_bar() -> None:
    values = walk_bars(60, 2)
    values[:10, 1] = np.nan
    held = hold_out(build_cube(values), 59)  # forecast from position 58: 58 and 48 sessions after the first bars
    *_, age = find_cohorts(build_cube(values), held, measure_volatility(values, held.origins))
    assert age.codes.tolist() == pytest.approx([1, 1])
    held = hold_out(build_cube(values), 40)
    *_, age = find_cohorts(build_cube(values), held, measure_volatility(values, held.origins))
    assert age.codes[:2].tolist() == [1, 0]
