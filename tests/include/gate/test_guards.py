from __future__ import annotations

import numpy as np
import pytest

from include.backtest.cohorts import split_deciles
from include.gate.guards import check_bounds, worst_decile


@pytest.mark.parametrize(
    ("value", "holds"), [(1.0, True), (2.0, True), (0.99, False), (2.01, False), (float("nan"), False)]
)
def test_bounds_are_included_and_what_is_no_number_keeps_none(value: float, holds: bool) -> None:
    assert check_bounds("size", value, at_least=1.0, at_most=2.0).holds is holds
    assert check_bounds("size", float("inf"), at_least=1.0).holds is False


def test_deciles_are_equal_in_number_and_in_order() -> None:
    volatility = np.random.default_rng(0).permutation(100).reshape(10, 10).astype(float)
    cells = np.ones((10, 10), dtype=bool)
    assert split_deciles(cells, volatility).tolist() == (volatility.ravel() // 10).astype(int).tolist()


def test_a_cell_without_volatility_or_not_judged_is_in_no_decile() -> None:
    volatility = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    cells = np.array([[True, True, True], [True, False, True]])
    deciles = split_deciles(cells, volatility)
    assert deciles.tolist()[1] == -1
    assert len(deciles) == 5
    losses = np.array([1.0, 99.0, 1.0, 1.2, 1.0])
    assert worst_decile(losses, np.ones(5), deciles) == pytest.approx(0.2)


def test_the_worst_decile_is_the_one_where_the_mean_exceeds_most() -> None:
    deciles = np.array([0, 0, 1, 1])
    other = np.array([1.0, 3.0, 10.0, 10.0])
    assert worst_decile(np.array([2.0, 3.0, 10.0, 11.0]), other, deciles) == pytest.approx(5 / 4 - 1)
    assert worst_decile(other / 2, other, deciles) == pytest.approx(-0.5)
    assert worst_decile(np.zeros(4), np.zeros(4), deciles) == 0.0
    assert np.isnan(worst_decile(other, other, np.full(4, -1)))
