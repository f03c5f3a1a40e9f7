"""Market-wide columns: worked by hand, blind to what came later, the same whichever sessions they are computed from."""

from __future__ import annotations

import numpy as np
import pytest

from models.market import MARKET_COLUMNS, join_market, measure_market
from models.protocol import WINDOW_COLUMNS
from tests.include.backtest.cubes import walk_bars

CLOSE, VOLUME, CAP = (WINDOW_COLUMNS.index(name) for name in ("close", "volume", "market_cap"))


def column(bars: np.ndarray, name: str) -> np.ndarray:
    return measure_market(bars, [name])[..., 0]


def bars_of(closes: list[list[float]]) -> np.ndarray:
    """Bars whose prices are the closes, (n_sessions, n_symbols), without volume and market cap."""
    prices = np.array(closes)[..., None].repeat(6, axis=-1)
    prices[..., [VOLUME, CAP]] = np.nan
    return prices


def test_the_market_s_return_is_the_median_of_those_who_traded_twice() -> None:
    bars = bars_of([[10, 10, 10, 10, np.nan], [11, 9, 12, 10, 50]])  # 1.1, 0.9, 1.2, 1.0
    expected = (np.log(1.1) + np.log(1.0)) / 2
    assert column(bars, "market_return").tolist() == [[0.0] * 5, pytest.approx([expected] * 5)]


def test_the_dispersion_is_the_distance_of_the_quartiles() -> None:
    bars = bars_of([[1.0] * 5, list(np.exp([0.0, 0.1, 0.2, 0.3, 0.4]))])
    assert column(bars, "dispersion")[1] == pytest.approx([0.2] * 5)


def test_a_rank_lies_between_minus_one_and_one_and_what_is_equal_shares_it() -> None:
    bars = bars_of([[1.0] * 6])
    bars[0, :, VOLUME] = [5, 7, 7, 100, np.nan, 0]
    bars[0, :, CAP] = [10, 70, 7, 1, 5, 5]
    assert column(bars, "volume_rank").tolist() == [[-0.75, 0.0, 0.0, 0.75, 0.0, 0.0]]
    assert column(bars, "turnover_rank").tolist() == [pytest.approx([-0.25, -0.75, 0.25, 0.75, 0, 0])]


def test_one_coin_at_723_times_its_price_moves_no_market() -> None:
    bars = walk_bars(3, 41).astype(np.float64)
    wild = bars.copy()
    wild[1, 0, CLOSE] *= 723
    before, after = (measure_market(each, MARKET_COLUMNS[:2]) for each in (bars, wild))
    assert np.abs(after - before).max() < 0.005


def test_no_column_knows_what_came_later() -> None:
    bars = walk_bars(30, 40, gaps=0.1)
    bars[..., VOLUME] *= np.random.default_rng(2).lognormal(size=bars.shape[:2])
    spoilt = bars.copy()
    spoilt[20:] = np.random.default_rng(1).lognormal(size=spoilt[20:].shape)
    before, after = (measure_market(each, MARKET_COLUMNS)[:20] for each in (bars, spoilt))
    np.testing.assert_array_equal(before, after)
    assert np.ptp(before, axis=(0, 1)).min() > 0


def test_the_sessions_of_a_window_are_enough_but_for_the_returns_of_the_first() -> None:
    bars = walk_bars(30, 40, gaps=0.1)
    np.testing.assert_array_equal(
        measure_market(bars, MARKET_COLUMNS)[21:], measure_market(bars[20:], MARKET_COLUMNS)[1:]
    )


def test_a_column_is_always_a_number() -> None:
    bars = np.random.default_rng(0).choice([np.nan, 0.0, np.inf, -1.0, 1e-30, 1e30], size=(20, 12, 6))
    assert np.isfinite(measure_market(bars, MARKET_COLUMNS)).all()
    assert np.isfinite(measure_market(np.full((2, 3, 6), np.nan), MARKET_COLUMNS)).all()


def test_they_stand_behind_the_columns_of_bars_and_only_where_asked_for() -> None:
    bars = walk_bars(5, 7)
    assert join_market(bars, ()) is bars
    joined = join_market(bars, ["cap_rank", "market_return"])
    np.testing.assert_array_equal(joined[..., :6], bars)
    np.testing.assert_array_equal(joined[..., 6], column(bars, "cap_rank"))


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"market columns must be of market_return, .*Received: tomorrow"):
        measure_market(walk_bars(2, 2), ["market_return", "tomorrow"])
