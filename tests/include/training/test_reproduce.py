"""A version made again: the same bytes from the same circumstances, and the distance and its causes from others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from include.errors import NotFoundError
from include.registry.client import connect
from include.registry.versions import show_version
from include.training.recorded import Recorded, read_recorded
from include.training.reproduce import Outcome, _fill, _read_bars, list_changes, rebuild_model, reproduce_version
from include.training.train import train
from models.ridge import RidgeHyperparameters
from tests.conftest import TrainedHome
from tests.include.registry.conftest import copy_registry

RIDGE = 2
"""The trained home's own version of it."""


def test_ridge_comes_out_with_the_same_bytes(trained_home: TrainedHome) -> None:
    told: list[tuple] = []
    found = reproduce_version(trained_home.settings, RIDGE, lambda *said: told.append(said))
    assert found.outcome == Outcome.SAME_BYTES
    assert (found.largest_difference, found.changes) == (0.0, ())
    assert found.cells > 1000
    assert f"Version {RIDGE} (ridge): the refit gives the same ONNX bytes" in found.summary()
    assert told[-1][0] == "ridge"


@pytest.mark.slow
def test_bigru_comes_out_the_same(trained_home: TrainedHome) -> None:
    settings = trained_home.settings.model_copy(update={"train_windows": 200})
    retrained = train(settings, who="tests", names=["bigru"], promote=False)
    found = reproduce_version(settings, retrained.judgement.versions["bigru"])
    assert found.outcome in (Outcome.SAME_BYTES, Outcome.SAME_FORECASTS)
    assert found.largest_difference <= 1e-6


def test_what_was_recorded_counts_where_settings_have_changed_since(trained_home: TrainedHome) -> None:
    found = reproduce_version(trained_home.settings.model_copy(update={"train_windows": 1500}), RIDGE)
    assert found.outcome == Outcome.SAME_BYTES
    assert [each.partition(" was ")[0] for each in found.changes] == ["the settings' hash"]


def test_another_fit_is_said_to_differ_and_by_how_much(
    trained_home: TrainedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = read_recorded(trained_home.settings, RIDGE)
    shorter = replace(recorded, params={**recorded.params, "train_windows": "1500"})
    monkeypatch.setattr("include.training.reproduce.read_recorded", lambda settings, version: shorter)
    found = reproduce_version(trained_home.settings, RIDGE)
    assert found.outcome == Outcome.DIFFERS
    assert 1e-6 < found.largest_difference < 0.5
    assert "the refit differs: by up to" in found.summary()


def test_other_bars_other_code_and_another_environment_are_named(trained_home: TrainedHome) -> None:
    recorded = read_recorded(trained_home.settings, RIDGE)
    tags = recorded.row.tags | {"code_version": "v0", "environment_hash": "e0"}
    del tags["settings_hash"]
    older = Recorded(replace(recorded.row, tags=tags), {"alpha": "10.0"}, recorded.snapshot)
    said = list_changes(trained_home.settings, older, "0" * 64)
    assert said[0] == f"the bars' content was {tags['content_sha256']} and is {'0' * 64}"
    assert said[1].startswith("the code version was v0 and is ")
    assert said[2].startswith("the environment's hash was e0 and is ")
    assert said[3].startswith("the settings' hash was not recorded and is ")
    assert "the hyperparameter lookback was not recorded" in said


def test_bars_past_their_retention_are_named(trained_home: TrainedHome) -> None:
    settings = trained_home.settings
    recorded = read_recorded(settings, RIDGE)
    gone = replace(recorded.snapshot, bars_version=10_000)
    with pytest.raises(NotFoundError, match=r"kept for 400 days\. Received: bars version 10000 \(in bars\)"):
        _read_bars(settings, gone)


def test_a_version_without_its_snapshot_is_refused(tmp_path: Path, trained_home: TrainedHome) -> None:
    own = copy_registry(trained_home, tmp_path)
    client = connect(own)
    run = client.create_run(client.get_experiment_by_name("closecast").experiment_id)
    row = show_version(own, 2)
    tags = {"kind": "ridge", "lookback": "8", "onnx_sha256": row.tags["onnx_sha256"]}
    client.create_model_version("closecast", "nowhere", run_id=run.info.run_id, tags=tags)
    with pytest.raises(NotFoundError, match="a version's run must name its snapshot. Received: no bars_version"):
        reproduce_version(own, 4)
    with pytest.raises(NotFoundError, match=r"must have this version \(closecast models list\)\. Received: 9"):
        reproduce_version(own, 9)


@dataclass(frozen=True)
class Inner:
    units: tuple[int, ...] = (1, 2)
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    name: str = "a"


def test_what_json_made_of_hyperparameters_gets_its_shape_back() -> None:
    assert _fill(Outer(), {"inner": {"units": [3], "gone": 1}}) == Outer(Inner((3,), 0.5), "a")


def test_recorded_hyperparameters_win_over_defaults() -> None:
    chosen = rebuild_model("ridge", {"alpha": "3.5", "lookback": "6", "bars_version": "4"}).hyperparameters
    assert chosen == RidgeHyperparameters(alpha=3.5, lookback=6)
