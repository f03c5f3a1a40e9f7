"""The backtest's peer, a series at a time, gives the same forecasts, and the benchmark notices when it doesn't."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import backtest

ORIGINS = range(39, 46)


@pytest.fixture
def prices() -> np.ndarray:
    return backtest.simulate_prices(40, 47, seed=3)


def test_a_small_run_reports_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["backtest", "--series", "50", "--sessions", "40", "--sample", "50", "--runs", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert backtest.main() == 0
    reported = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert reported["measured"]["series"] == 50
    assert 8 * 50 * 7 * 0.8 < reported["measured"]["forecasts"] <= 8 * 50 * 7
    assert 0 < reported["measured"]["forecast_seconds"] < reported["measured"]["seconds"] < 0.5


@pytest.mark.parametrize("name", backtest.FORECASTERS)
def test_a_forecast_that_is_not_its_loop_s_stops_the_benchmark(prices: np.ndarray, name: str) -> None:
    by_loop, _ = backtest.walk_by_loop(prices, ORIGINS, 40)
    walk = backtest.walk_forward(prices, ORIGINS, lookback=40, forecasters=backtest.FORECASTERS)
    backtest.require_agreement(walk, by_loop)
    by_loop[name][np.isfinite(by_loop[name])] += 1e-6
    with pytest.raises(AssertionError, match=f"{name} is not its loop"):
        backtest.require_agreement(walk, by_loop)


def test_simulated_series_are_rough(prices: np.ndarray) -> None:
    holes = np.isnan(prices)
    assert 0.04 < holes.mean() < 0.2
    assert holes[:, :20].all(axis=1).any()
