"""What models are judged on: targets after the cut, the same cells for all, losses by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.backtest.heldout import (
    combine_losses,
    forecast_held_out,
    hold_out,
    measure_forecasts,
    measure_volatility,
)
from include.errors import InputError
from include.lake.bars import BarCube
from models.catalog import build_model
from models.market import measure_market
from tests.include.backtest.cubes import build_cube, walk_bars
from tests.include.scoring.graphs import write_market_graph


def _cube(sessions: int = 15, symbols: int = 3) -> BarCube:
    """Closes that grow by 1 % a session, opens at the last close; the last symbol is listed in the 8th session."""
    close = 100 * 1.01 ** np.arange(sessions)
    values = np.full((sessions, symbols, 6), np.nan, dtype=np.float32)
    for column, prices in enumerate([close / 1.01, close, close / 1.01, close]):
        values[:, :, column] = prices[:, None]
    values[:7, -1] = np.nan
    days = [date(2026, 1, 1) + timedelta(days=k) for k in range(sessions)]
    names = np.array(["A", "B", "C"], dtype=object)[:symbols]
    return BarCube(values, days, names, values[-1, :, 3].astype(np.float64), np.full(symbols, sessions - 1), 4)


def test_cells_are_those_with_enough_sessions_before() -> None:
    held = hold_out(_cube(), cut=12)
    assert held.sessions == [date(2026, 1, 13), date(2026, 1, 14), date(2026, 1, 15)]
    assert list(held.origins) == [11, 12, 13]
    assert held.cells.tolist() == [[True, True, False], [True, True, False], [True, True, False]]


def test_targets_are_those_of_the_next_session() -> None:
    held = hold_out(_cube(), cut=12, end=13)
    np.testing.assert_allclose(held.actual[0, :2], [[0, np.log(1.01)]] * 2, atol=1e-6)


def test_a_graph_is_run_over_the_judged_cells_alone(tmp_path: Path) -> None:
    build_model("last_close").fit(np.zeros((1, 1, 6)), np.zeros((1, 2)), seed=7, threads=1).save_onnx(tmp_path / "g")
    cube = _cube()
    held = hold_out(cube, cut=12)
    forecasts = forecast_held_out(tmp_path / "g", cube, held, lookback=1, threads=1)
    np.testing.assert_array_equal(np.isfinite(forecasts[..., 0]), held.cells)
    metrics = measure_forecasts(held, forecasts)
    assert metrics["holdout_windows"] == 6
    assert metrics["close_error"] == pytest.approx(np.log(1.01), rel=1e-4)
    with pytest.raises(InputError, match=r"may look back on at most 10 sessions\. Received: 11"):
        forecast_held_out(tmp_path / "g", cube, held, lookback=11, threads=1)


def test_a_loss_weighs_both_targets_by_what_last_close_misses() -> None:
    held = hold_out(_cube(), cut=12)
    held.actual[..., 0] = np.where(held.cells, 0.002, np.nan)
    held.actual[..., 1] = np.where(held.cells, 0.04, np.nan)
    forecasts = np.zeros_like(held.actual)
    assert np.nanmean(combine_losses(held, forecasts)) == pytest.approx(1)
    forecasts[..., 1] = 0.03  # a quarter of the close's error is left, all of the open's
    np.testing.assert_allclose(combine_losses(held, forecasts)[held.cells], (1 + 0.25) / 2, rtol=1e-5)


def test_sessions_without_a_window_are_refused() -> None:
    with pytest.raises(InputError, match="must hold at least one window"):
        hold_out(_cube(), cut=5, end=6)


def test_volatility_is_that_of_the_sessions_up_to_the_origin() -> None:
    cube = _cube()
    returns = np.array([0.0, 0.0, 0.02, 0.0, -0.02, 0.0, 0.01, 0.0, -0.01])  # of sessions 4 to 12
    cube.values[3:13, 0, 3] = 100 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    cube.values[13:, 0, 3] = 1e6  # what is to come
    found = measure_volatility(cube, hold_out(cube, cut=13))
    assert found.shape == (2, 3)
    assert found[0, 0] == pytest.approx(np.sqrt(2 * (0.02**2 + 0.01**2) / 9), rel=1e-3)
    assert found[0, 1] == pytest.approx(0, abs=1e-6)  # grows by the same every session
    cube.values[8, 0, 3] = np.nan  # takes two returns with it, -0.02 and 0
    left = np.sqrt((0.0006 - 0.02**2 / 7) / 7)
    assert measure_volatility(cube, hold_out(cube, cut=13))[0, 0] == pytest.approx(left, rel=1e-3)


def test_volatility_of_a_symbol_that_has_just_been_listed_is_not_known() -> None:
    cube = _cube()
    found = measure_volatility(cube, hold_out(cube, cut=9))
    assert np.isnan(found[0, 2])  # two closes, one return
    assert np.isfinite(found[1:, 2]).all()


def test_an_open_that_is_always_the_last_close_is_weighed_as_the_close() -> None:
    held = hold_out(_cube(), cut=12)
    actual = held.actual.copy()
    actual[..., 0] = np.where(held.cells, 0.0, np.nan)
    held, made = replace(held, actual=actual), np.zeros_like(actual)
    np.testing.assert_allclose(combine_losses(held, made)[held.cells], 0.5, rtol=1e-5)
    made[..., 0] = np.log(1.01)
    np.testing.assert_allclose(combine_losses(held, made)[held.cells], 1.0, rtol=1e-5)


def test_where_nothing_moves_a_loss_is_the_error_itself() -> None:
    held = hold_out(_cube(), cut=12)
    held = replace(held, actual=np.where(held.cells[..., None], np.float32(0), held.actual))
    made = np.full_like(held.actual, 0.25)
    np.testing.assert_array_equal(combine_losses(held, made)[held.cells], 0.25)


def test_market_wide_columns_are_of_all_symbols_and_of_the_origin(tmp_path: Path) -> None:
    names = ("dispersion", "cap_rank")
    bars = walk_bars(20, 30, gaps=0.1)
    graph, held = write_market_graph(tmp_path / "g.onnx", names, lookback=8), hold_out(build_cube(bars), cut=15)
    assert 0 < held.cells.mean() < 0.9  # columns of the judged symbols alone would be others
    forecasts = forecast_held_out(graph, build_cube(bars), held, lookback=8, threads=1)
    expected = measure_market(bars, names)[14:19]
    np.testing.assert_array_equal(forecasts[held.cells], expected[held.cells])
    bars[17:] = np.random.default_rng(1).lognormal(size=bars[17:].shape)
    spoilt = forecast_held_out(graph, build_cube(bars), held, lookback=8, threads=1)
    np.testing.assert_array_equal(spoilt[:2], forecasts[:2])
