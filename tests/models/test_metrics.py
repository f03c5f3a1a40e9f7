from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from models import metrics

ANSWERS = Path(__file__).parents[1] / "data" / "metrics_answers.csv"
NAMES = ("mean_absolute_error", "root_mean_squared_error", "relative_error", "r2")


def read_answers() -> list[dict[str, str]]:
    with ANSWERS.open(newline="") as file:
        return list(csv.DictReader(file))


def to_array(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


@pytest.mark.parametrize("row", read_answers(), ids=lambda row: row["case"])
@pytest.mark.parametrize("name", NAMES)
def test_a_metric_gives_the_answer_worked_by_hand(row: dict[str, str], name: str) -> None:
    value = getattr(metrics, name)(to_array(row["actual"]), to_array(row["forecast"]))
    assert value == pytest.approx(float(row[name]), rel=1e-12, abs=1e-15, nan_ok=True)


def test_both_targets_are_pooled() -> None:
    actual, forecast = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 6.0]])
    assert metrics.mean_absolute_error(actual, forecast) == 0.5


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have one shape. Received: \(3, 1\) and \(3,\)"):
        metrics.r2(np.zeros((3, 1)), np.zeros(3))


def test_the_bootstrap_draws_whole_sessions() -> None:
    """Two sessions, all 0 and all 1: the mean of a resample is 0, 1/2 or 1. Rows drawn one by one stay near 1/2."""
    sessions = np.repeat([20180601, 20180602], 100)
    values = np.repeat([0.0, 1.0], 100)
    assert metrics.bootstrap_interval(np.mean, sessions, values) == (0.0, 1.0)


def test_the_bootstrap_keeps_rows_of_arrays_together_in_any_order() -> None:
    order = np.random.default_rng(0).permutation(200)
    sessions, values = np.repeat(np.arange(20), 10)[order], np.arange(200.0)[order]
    interval = metrics.bootstrap_interval(lambda a, b: float(np.abs(a - b).sum()), sessions, values, values)
    assert interval == (0.0, 0.0)


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    sessions = np.repeat(np.arange(40), 5)
    covered = 0
    for trial in range(100):
        values = np.repeat(generator.normal(size=40), 5)
        lower, upper = metrics.bootstrap_interval(np.mean, sessions, values, level=0.9, resamples=200, seed=trial)
        covered += lower <= 0.0 <= upper
    assert 80 <= covered <= 97


def test_one_session_has_no_width_and_no_rows_have_no_interval() -> None:
    assert metrics.bootstrap_interval(np.mean, np.zeros(3), np.array([1.0, 2.0, 3.0])) == (2.0, 2.0)
    assert np.isnan(metrics.bootstrap_interval(np.mean, np.zeros(0), np.zeros(0))).all()


def test_the_bootstrap_refuses_arrays_of_other_lengths_and_an_impossible_level() -> None:
    with pytest.raises(ValueError, match=r"must have 3 rows.*Received: \[2\]"):
        metrics.bootstrap_interval(np.mean, np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"level must be between 0 and 1. Received: 95"):
        metrics.bootstrap_interval(np.mean, np.zeros(3), np.zeros(3), level=95)
