"""Which held-out sessions a champion can be judged on, by hand; and what it loses where it says nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from include.backtest.heldout import HeldOut, combine_losses, hold_out
from include.registry.artifact import ModelVersion
from include.registry.client import connect
from include.registry.promote import promote_version
from include.registry.resolve import resolve_version
from include.training.champion import CHAMPION, Champion, count_unjudgeable, find_champion, measure_champion
from include.training.fit import read_fit, read_fits
from tests.include.conftest import Own, serve_nothing

RIDGE = ModelVersion("closecast", 2, "ridge", 10, "0" * 64)
SESSIONS = [date(2026, 3, day) for day in range(1, 31)]


@pytest.fixture
def held() -> HeldOut:
    return HeldOut(range(30), SESSIONS, np.zeros((30, 2, 2), dtype=np.float32))


@pytest.mark.parametrize(
    ("champion", "unjudgeable"),
    [
        (None, 0),
        (Champion(RIDGE, date(2026, 2, 1)), 0),
        (Champion(RIDGE, date(2026, 3, 1)), 0),
        (Champion(RIDGE, date(2026, 3, 8)), 7),
        (Champion(RIDGE, date(2026, 4, 1)), 30),
        (Champion(RIDGE, None), 30),
        (Champion(replace(RIDGE, lookback=11), date(2026, 2, 1)), 30),
        (Champion(replace(RIDGE, kind="last_close"), None), 30),
        (Champion(RIDGE, None, "last_close"), 0),
    ],
)
def test_a_champion_is_judged_where_it_was_not_fitted(
    held: HeldOut, champion: Champion | None, unjudgeable: int
) -> None:
    assert count_unjudgeable(champion, held) == unjudgeable


def test_a_naive_champion_is_judged_under_its_own_name() -> None:
    assert Champion(replace(RIDGE, kind="last_close"), None).name == CHAMPION
    assert Champion(RIDGE, None, "last_close").name == "last_close"


def test_a_champion_is_naive_by_its_graph_whatever_its_tag_says(own: Own) -> None:
    fits = read_fits(own.retrain)
    connect(own.settings).set_model_version_tag("closecast", "2", "kind", "last_close")
    shutil.rmtree(own.settings.model_cache, ignore_errors=True)
    found = find_champion(own.settings, fits)
    assert found is not None
    assert (found.version.version, found.naive) == (2, None)
    promote_version(own.settings, 1, who="ada", why="to see")
    connect(own.settings).set_model_version_tag("closecast", "1", "kind", "ridge")
    found = find_champion(own.settings, fits)
    assert found is not None
    assert (found.version.version, found.naive) == (1, "last_close")


def test_what_serves_is_found_with_the_sessions_it_knows(own: Own) -> None:
    found = find_champion(own.settings)
    assert found is not None
    assert (found.version.version, found.clean_from) == (2, own.retrain.snapshot.holdout_from)
    assert found.version.onnx is not None
    assert found.version.onnx.is_file()


def test_where_nothing_serves_there_is_none(own: Own) -> None:
    serve_nothing(own.settings)
    assert find_champion(own.settings) is None


def test_a_champion_is_measured_by_its_own_graph(own: Own) -> None:
    held, fit = hold_out(own.cube, 66), read_fit(own.retrain, "ridge")
    champion = Champion(replace(RIDGE, onnx=fit.graph), date(2024, 3, 7))
    losses = measure_champion(champion, own.cube, held, threads=1)
    np.testing.assert_array_equal(losses, combine_losses(held, fit.read_forecasts()))


def test_a_champion_that_says_nothing_loses_what_last_close_does(own: Own, tmp_path: Path) -> None:
    held = hold_out(own.cube, 66)
    graph = onnx.load(read_fit(own.retrain, "last_close").graph)
    nothing = helper.make_tensor("nothing", onnx.TensorProto.FLOAT, [1], [np.nan])
    graph.graph.node[-1].attribute.append(helper.make_attribute("value", nothing))
    onnx.save(graph, tmp_path / "silent.onnx")
    champion = Champion(replace(RIDGE, onnx=tmp_path / "silent.onnx"), date(2024, 3, 7))
    losses = measure_champion(champion, own.cube, held, threads=1)
    np.testing.assert_array_equal(losses, combine_losses(held, np.zeros_like(held.actual)))


def test_a_champion_that_was_deleted_serves_on_and_says_not_what_it_knows(own: Own) -> None:
    resolve_version(own.settings)
    connect(own.settings).delete_model_version("closecast", "2")
    found = find_champion(own.settings)
    assert found is not None
    assert (found.version.version, found.clean_from) == (2, None)


def test_a_champion_whose_tag_is_no_day_says_not_what_it_knows(own: Own) -> None:
    connect(own.settings).set_model_version_tag("closecast", "2", "holdout_from", "soon")
    found = find_champion(own.settings)
    assert found is not None
    assert found.clean_from is None
