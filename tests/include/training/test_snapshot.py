"""A retrain's cut: what is fitted on ends before what judges; and that every step reads the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from include.errors import InputError
from include.training.snapshot import hash_content, read_snapshot, take_snapshot
from tests.conftest import TrainedHome
from tests.include.conftest import Own


def test_a_snapshot_holds_the_newest_sessions_out(trained_home: TrainedHome) -> None:
    snapshot = take_snapshot(trained_home.settings)
    assert snapshot.holdout_from == snapshot.last_session - timedelta(days=snapshot.holdout_sessions - 1)
    cube = read_snapshot(trained_home.settings, snapshot)
    assert (cube.sessions[0], cube.sessions[-1]) == (snapshot.first_session, snapshot.last_session)


def test_too_few_sessions_are_refused(trained_home: TrainedHome) -> None:
    settings = trained_home.settings.model_copy(update={"holdout_sessions": 60})
    with pytest.raises(InputError, match=r"at least 120 sessions to train on\. Received:"):
        take_snapshot(settings)


def test_the_content_s_hash_changes_with_a_number_a_symbol_and_a_session(fitted_home: Own) -> None:
    cube = fitted_home.cube
    known = hash_content(cube)
    assert hash_content(cube) == known
    values = cube.values.copy()
    values[3, 4, 0] = np.nextafter(values[3, 4, 0], np.float32(np.inf))
    if np.isnan(values[3, 4, 0]):
        values[3, 4, 0] = 1.0
    changed = [{"values": values}, {"symbols": cube.symbols[::-1]}, {"sessions": cube.sessions[::-1]}]
    assert known not in {hash_content(replace(cube, **change)) for change in changed}
