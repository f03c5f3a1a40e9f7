"""A model refitted over the held-out sessions: the artifact's own forecasts first, then those of later fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from include.backtest.heldout import hold_out, measure_forecasts
from include.backtest.walk_forward import split_origins, walk_forward
from include.training.fit import name_errors, read_fit
from include.training.refits import backtest_model, read_backtest
from tests.include.conftest import Own


def test_the_first_block_is_the_artifacts_and_the_others_are_refits(own: Own) -> None:
    settings = own.settings.model_copy(update={"backtest_origins": 2})
    found = backtest_model(settings, own.retrain, "ridge", cube=own.cube)
    cut = own.cube.sessions.index(own.retrain.snapshot.holdout_from)
    first, second = split_origins(cut, len(own.cube.sessions), 2)
    forecasts = read_fit(own.retrain, "ridge").read_forecasts()
    refitted = walk_forward(own.cube, names=["ridge"], first=second.cut, origins=1, windows=settings.train_windows)
    both = np.concatenate([forecasts[: first.end - first.cut], refitted.forecasts["ridge"]])
    expected = name_errors(measure_forecasts(hold_out(own.cube, cut), both))
    assert found == pytest.approx({f"backtest_{name}": value for name, value in expected.items()})
    assert read_backtest(own.retrain, "ridge") == found


def test_a_naive_model_learns_nothing_and_one_origin_is_the_fit_itself(own: Own) -> None:
    assert read_backtest(own.retrain, "ridge") == {}
    once = own.settings.model_copy(update={"backtest_origins": 1})
    assert backtest_model(own.settings, own.retrain, "last_close", cube=own.cube) == {}
    assert backtest_model(once, own.retrain, "ridge", cube=own.cube) == {}


def test_there_are_no_more_origins_than_held_out_sessions(own: Own) -> None:
    many = own.settings.model_copy(update={"backtest_origins": 20})
    snapshot = replace(own.retrain.snapshot, holdout_sessions=1)
    assert backtest_model(many, replace(own.retrain, snapshot=snapshot), "ridge", cube=own.cube) == {}
