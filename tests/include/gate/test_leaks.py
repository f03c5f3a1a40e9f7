"""Each leak test passes an honest retrain and fails a leaking one by its name."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from include.backtest.heldout import HeldOut, hold_out
from include.backtest.windows import sample_windows
from include.errors import BlockedError, LeakError
from include.gate.leaks import (
    check_blind,
    check_blind_graph,
    check_moved_labels,
    check_plausible,
    move_targets,
    spoil_future,
)
from include.gate.verdict import ALPHA
from include.training.fit import read_fit
from tests.include.conftest import Own

CUT = 66


def test_windows_that_reach_behind_the_cut_are_noticed(fitted_home: Own) -> None:
    cube, spoilt = fitted_home.cube, spoil_future(fitted_home.cube, CUT, seed=1)
    asked = {"lookback": 8, "min_observed": 6, "limit": 5000, "seed": 7}
    honest = [sample_windows(each.values, origins=range(CUT - 1), **asked) for each in (cube, spoilt)]
    check_blind(*honest)
    one_too_many = [sample_windows(each.values, origins=range(CUT), **asked) for each in (cube, spoilt)]
    with pytest.raises(LeakError, match="leak test noise_after_cut: .* windows"):
        check_blind(*one_too_many)


def test_a_graph_that_is_shown_the_future_is_noticed(fitted_home: Own) -> None:
    cube, graph = fitted_home.cube, read_fit(fitted_home.retrain, "ridge").graph
    check_blind_graph(graph, cube, spoil_future(cube, CUT, seed=1), CUT, lookback=10, place="ridge")
    with pytest.raises(LeakError, match=r"leak test noise_after_cut: .* forecasts .* \(in ridge\)"):
        check_blind_graph(graph, cube, spoil_future(cube, CUT - 1, seed=1), CUT, lookback=10, place="ridge")


def test_an_error_that_no_honest_model_has_is_refused() -> None:
    check_plausible({"open_relative_error": 0.5, "close_relative_error": float("nan")}, place="ridge")
    with pytest.raises(LeakError, match=r"leak test impossible_error: the close error .* Received: 0\.4900 \(in ridge"):
        check_plausible({"open_relative_error": 1.0, "close_relative_error": 0.49}, place="ridge")


def test_a_leak_ends_like_other_blocks() -> None:
    assert issubclass(LeakError, BlockedError)


def test_targets_are_moved_in_a_circle_and_stay_with_their_symbol() -> None:
    actual = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    actual[2] = np.nan
    moved = move_targets(HeldOut(range(4), [date(2026, 1, day) for day in range(1, 5)], actual), 1)
    np.testing.assert_array_equal(moved.actual[:, 0, 0], [2, np.nan, np.nan, 0])


def test_a_model_of_moved_targets_passes_no_gate_unless_the_gate_is_bad(fitted_home: Own) -> None:
    held = hold_out(fitted_home.cube, CUT)
    zeros = np.zeros_like(held.actual)
    found = check_moved_labels(fitted_home.settings, fitted_home.cube, CUT, held, {"last_close": zeros})
    assert found["moved_labels"] > ALPHA
    with pytest.raises(LeakError, match="leak test moved_labels"):
        check_moved_labels(fitted_home.settings, fitted_home.cube, CUT, held, {"last_close": zeros + 0.1})


def test_too_few_sessions_to_judge_on_are_no_leak(fitted_home: Own) -> None:
    held = hold_out(fitted_home.cube, CUT, CUT + 19)
    assert check_moved_labels(fitted_home.settings, fitted_home.cube, CUT, held, {"last_close": held.actual}) == {}
