"""Intervals of a scoring run: from held-out residuals at first, from what came true later."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from include.errors import NotFoundError
from include.ingest.ingest import ingest_upload
from include.lake.predictions import read_run
from include.lake.reads import read_all
from include.lake.tables import CALIBRATIONS, OUTCOMES
from include.monitoring.outcomes import settle
from include.registry.resolve import resolve_version
from include.schema import BOUNDS
from include.scoring.calibration import current_calibration, load_calibration
from include.scoring.score import score_session
from include.settings import Settings
from tests.conftest import TrainedHome
from tests.include.conftest import Own

LAST = date(2024, 3, 26)


def read_bounds(settings: Settings, as_of: date) -> tuple[np.ndarray, np.ndarray]:
    """Score; give prices (n, 1) and bounds (n, 4) of what was scored."""
    run = read_run(settings.lake, as_of, score_session(settings, as_of).run_id)
    scored = run.filter(np.asarray(run["status"]) == "scored")
    numbers = [np.array(scored[name].to_pylist(), dtype=float) for name in ("predicted", *BOUNDS)]
    return numbers[0][:, None], np.stack(numbers[1:], axis=1)


def test_a_new_version_begins_with_its_held_out_residuals(own: Own) -> None:
    predicted, bounds = read_bounds(own.settings, LAST)
    assert np.isfinite(bounds).all()
    lower_80, upper_80, lower_95, upper_95 = bounds.T[:, :, None]
    assert (lower_95 <= lower_80).all()
    assert (lower_80 <= predicted).all()
    assert (predicted <= upper_80).all()
    assert (upper_80 <= upper_95).all()
    assert ((upper_95 - lower_95) > (upper_80 - lower_80)).mean() > 0.9
    (first, second) = read_all(own.settings.lake, CALIBRATIONS).sort_by("target").to_pylist()
    assert (first["target"], second["target"], first["own_sessions"]) == ("close", "open", 0)
    assert first["sessions"] >= 10


def test_the_same_question_gets_the_same_version(own: Own) -> None:
    model = resolve_version(own.settings)
    once, again = (current_calibration(own.settings, model, LAST) for _ in range(2))
    assert once is not None
    assert again is not None
    assert once.version == again.version
    units = np.array([0.01, 0.05, np.nan])
    loaded = load_calibration(own.settings, once.version)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.lay(1, "open", units), once.lay(1, "open", units))
    assert np.isfinite(once.lay(1, "close", units)).all()
    assert np.isnan(once.lay(2, "close", units)).all()
    with pytest.raises(NotFoundError, match=r"a calibration must be there\. Received: 99"):
        load_calibration(own.settings, 99)
    assert load_calibration(own.settings, None) is None


def test_what_came_true_is_calibrated_on_by_the_next_run(own: Own, trained_home: TrainedHome) -> None:
    settings, day = own.settings, LAST
    for number in range(1, 4):
        score_session(settings, day)
        day = LAST + timedelta(days=number)
        ingest_upload(settings, trained_home.uploads[day])
        assert settle(settings, day).outcomes > 100
    score_session(settings, day)
    newest = read_all(settings.lake, CALIBRATIONS).sort_by("version").to_pylist()[-1]
    assert (newest["own_sessions"], newest["through"]) == (3, day)
    outcomes = read_all(settings.lake, OUTCOMES)
    inside = np.array(outcomes["inside_80"].to_pylist(), dtype=float)
    assert 0.6 < np.nanmean(inside) < 0.95
    assert not any(outcomes["in_sample"].to_pylist())
