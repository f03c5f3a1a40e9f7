"""What is measured of a graph besides its errors."""

from __future__ import annotations

import numpy as np

from include.backtest.heldout import hold_out
from include.gate.facts import _measure_difference, measure_facts
from include.training.fit import read_fit
from tests.include.conftest import Own


def test_a_sound_graph_is_quick_small_and_repeats(fitted_home: Own) -> None:
    fit, held = read_fit(fitted_home.retrain, "ridge"), hold_out(fitted_home.cube, 66)
    found = measure_facts(fit.graph, fitted_home.cube, held, lookback=fit.lookback, threads=1)
    assert found.latency_s is not None
    assert 0 < found.latency_s < 5
    assert (found.size_bytes, found.rerun_difference) == (fit.graph.stat().st_size, 0.0)
    assert found.coverage is None


def test_two_runs_differ_by_their_largest_difference_and_beyond_bounds_where_one_is_silent() -> None:
    one = np.array([[0.1, np.nan], [0.3, 0.4]], dtype=np.float32)
    other = one + np.float32(0.25)
    assert _measure_difference(one, other) == 0.25
    assert _measure_difference(one, one) == 0.0
    other[0, 0] = np.nan
    assert _measure_difference(one, other) == np.inf
