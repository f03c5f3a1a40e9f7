"""A fit on disk: done once, whole, and nothing of it left where a leak test fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.backtest.heldout import hold_out, measure_forecasts
from include.errors import LeakError, NotFoundError
from include.schema import WINDOW_COLUMNS
from include.training.fit import EVIDENCE, fit_model, read_fit, read_fits
from tests.include.conftest import Own


def test_a_fit_keeps_all_that_later_steps_need(fitted_home: Own) -> None:
    last_close, ridge = read_fits(fitted_home.retrain)
    assert (last_close.kind, last_close.is_naive, last_close.lookback) == ("last_close", True, 1)
    assert (ridge.kind, ridge.is_naive, ridge.is_resumed) == ("ridge", False, False)
    assert ridge.hyperparameters["lookback"] == ridge.lookback
    assert ridge.read_example().shape == (5, ridge.lookback, 6)
    assert ridge.learning_curve[0].keys() == {"loss"}
    held = hold_out(fitted_home.cube, fitted_home.cube.sessions.index(fitted_home.retrain.snapshot.holdout_from))
    measured = measure_forecasts(held, ridge.read_forecasts())
    for name in ("holdout_windows", "relative_error", "open_relative_error", "close_relative_error"):
        assert ridge.metrics[name] == measured[name]
    assert {"open_mase", "close_coverage_80", "last_close_open_mean_absolute_error"} <= ridge.metrics.keys()
    assert ridge.metrics["open_mean_absolute_error"] == measured["open_error"]
    assert not {"open_error", "close_error", "last_close_open_error"} & ridge.metrics.keys()  # one name for each
    assert (ridge.folder / EVIDENCE / "error_over_time.png").exists()
    assert last_close.metrics["relative_error"] == 1.0
    assert ridge.metrics["relative_error"] < 1.0


def test_a_fit_that_was_done_is_not_done_again(own: Own) -> None:
    marker = own.retrain.step("fit", "last_close", "done.json")
    before = marker.stat().st_mtime_ns
    fit_model(own.settings, own.retrain, "last_close", cube=own.cube)
    assert marker.stat().st_mtime_ns == before


def test_a_model_that_was_not_fitted_is_named(own: Own) -> None:
    with pytest.raises(NotFoundError, match=r"must have been fitted on the retrain's snapshot\. Received: bigru"):
        read_fit(own.retrain, "bigru")


def test_a_model_that_knows_what_was_to_come_leaves_no_fit(own: Own) -> None:
    """The next close lies in the high of every window: no forecast of ridge's is honest then."""
    high, close = WINDOW_COLUMNS.index("high"), WINDOW_COLUMNS.index("close")
    values = own.cube.values.copy()
    values[:-1, :, high] = values[1:, :, close]
    leaking = replace(own.retrain, folder=own.retrain.folder / "leaking")
    with pytest.raises(LeakError, match="leak test impossible_error"):
        fit_model(own.settings, leaking, "ridge", cube=replace(own.cube, values=values))
    with pytest.raises(NotFoundError):
        read_fit(leaking, "ridge")
