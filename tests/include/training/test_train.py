"""A retrain's cut: what is fitted on ends before what judges."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest

from include.errors import InputError, NotFoundError
from include.registry.store import list_versions
from include.settings import Settings
from include.training.train import Candidate, fit_candidate, promote_best, read_snapshot, take_snapshot
from include.training.windows import sample_windows
from tests.conftest import TrainedHome


def test_a_snapshot_holds_the_newest_sessions_out(trained_home: TrainedHome) -> None:
    snapshot = take_snapshot(trained_home.settings)
    assert snapshot.holdout_from == snapshot.last_session - timedelta(days=snapshot.holdout_sessions - 1)
    cube = read_snapshot(trained_home.settings, snapshot)
    assert (cube.sessions[0], cube.sessions[-1]) == (snapshot.first_session, snapshot.last_session)


def test_noise_over_everything_held_out_leaves_the_training_windows_unchanged(trained_home: TrainedHome) -> None:
    settings = trained_home.settings
    snapshot = take_snapshot(settings)
    cube = read_snapshot(settings, snapshot)
    cut = cube.sessions.index(snapshot.holdout_from)
    asked = {"lookback": 10, "origins": range(cut - 1), "min_observed": 8, "limit": 3000, "seed": 7}
    before = sample_windows(cube.values, **asked)
    noisy = cube.values.copy()
    noisy[cut:] = np.random.default_rng(0).lognormal(size=noisy[cut:].shape)
    after = sample_windows(noisy, **asked)
    np.testing.assert_array_equal(before.windows, after.windows)
    np.testing.assert_array_equal(before.targets, after.targets)


def test_too_few_sessions_are_refused(trained_home: TrainedHome) -> None:
    settings = trained_home.settings.model_copy(update={"holdout_sessions": 60})
    with pytest.raises(InputError, match=r"at least 120 sessions to train on\. Received:"):
        take_snapshot(settings)


def test_an_unknown_model_is_named(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="model must be one of last_close, ridge, bigru. Received: prophet"):
        fit_candidate(settings, None, "prophet")  # type: ignore[arg-type]


def test_a_version_carries_what_led_to_it(trained_home: TrainedHome) -> None:
    row = next(row for row in list_versions(trained_home.settings) if row.version == 2)
    assert row.tags["kind"] == "ridge"
    assert {"bars_version", "code_version", "environment_hash", "settings_hash", "onnx_sha256"} <= row.tags.keys()
    assert row.metrics["open_error"] < row.metrics["last_close_open_error"]
    assert json.dumps(row.metrics)


def test_last_close_is_one_by_definition(trained_home: TrainedHome) -> None:
    row = next(row for row in list_versions(trained_home.settings) if row.version == 1)
    assert row.metrics["relative_error"] == 1.0


def test_a_tie_goes_to_the_simpler(trained_home: TrainedHome) -> None:
    rows = [
        Candidate(kind, version, 1.0, 1.0, 1.0, 1.0, 1.0, 10) for kind, version in (("last_close", 1), ("ridge", 2))
    ]
    assert promote_best(trained_home.settings, rows, who="tests").kind == "last_close"
    assert promote_best(trained_home.settings, rows[1:], who="tests").kind == "ridge"
    with pytest.raises(InputError, match="at least one candidate"):
        promote_best(trained_home.settings, [], who="tests")
