"""What the registry and MLflow are told of a fit: once, all of it, or nothing while MLflow is down."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from include.errors import UnavailableError
from include.provenance import code_version
from include.registry.artifact import hash_file
from include.registry.client import connect
from include.registry.reference import REFERENCE
from include.registry.versions import list_versions, show_version
from include.training.fit import fit_model, read_fits
from include.training.record import begin_retrain
from include.training.register import read_versions, register_fits
from tests.fakes import refusing_url
from tests.include.conftest import LAST, Own


def test_everything_that_led_to_a_version_is_in_mlflow(own: Own) -> None:
    said: list[str] = []
    versions = register_fits(own.settings, own.retrain, say=said.append)
    assert versions == read_versions(own.retrain) == {"last_close": 3, "ridge": 4}
    assert said == ["last_close is version 3", "ridge is version 4"]
    row = next(row for row in list_versions(own.settings) if row.version == 4)
    snapshot, ridge = own.retrain.snapshot, read_fits(own.retrain)[1]
    assert row.tags["kind"] == "ridge"
    assert row.tags["lookback"] == str(ridge.lookback)
    assert row.tags["content_sha256"] == own.retrain.content_sha256
    assert row.tags["holdout_from"] == snapshot.holdout_from.isoformat()
    assert row.tags["drift_sha256"] == hash_file(own.retrain.step("snapshot") / REFERENCE)
    assert {"bars_version", "code_version", "environment_hash", "settings_hash", "onnx_sha256"} <= row.tags.keys()
    client = connect(own.settings)
    run = client.get_run(row.run_id)
    assert run.data.metrics["relative_error"] == pytest.approx(ridge.metrics["relative_error"])
    assert run.data.params["seed"] == "7"
    assert run.data.params["alpha"] == str(ridge.hyperparameters["alpha"])
    assert run.data.params["train_windows"] == "5000"
    assert run.data.tags["code_dirty"] == str(code_version().endswith("-dirty")).lower()
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("bars", own.retrain.content_sha256[:16])
    assert json.loads(given.dataset.source)["delta_table_version"] == snapshot.bars_version
    assert run.data.tags["mlflow.source.name"] == "retrain weekly-1: register"
    curve = [point.value for point in client.get_metric_history(row.run_id, "fit_loss")]
    assert curve == pytest.approx([step["loss"] for step in ridge.learning_curve])
    kept = {artifact.path for artifact in client.list_artifacts(row.run_id)}
    assert {"environment.json", "leak_tests.json", "original", REFERENCE} <= kept


def test_while_mlflow_is_down_nothing_is_registered_and_the_next_try_is_whole(own: Own) -> None:
    said: list[str] = []
    down = own.settings.model_copy(update={"mlflow_tracking_uri": refusing_url().rsplit("/services", 1)[0]})
    with pytest.raises(UnavailableError, match="MLflow must answer"):
        register_fits(down, own.retrain, say=said.append)
    assert said == []
    before = {row.version for row in list_versions(own.settings)}
    assert before == {1, 2, 3}
    assert register_fits(own.settings, own.retrain, say=said.append) == {"last_close": 3, "ridge": 4}
    assert register_fits(own.settings, own.retrain, say=said.append) == {"last_close": 3, "ridge": 4}
    assert {row.version for row in list_versions(own.settings)} == {1, 2, 3, 4}


def test_a_naive_model_is_the_version_it_was_while_graph_and_code_are_the_same(own: Own) -> None:
    client = connect(own.settings)
    client.delete_model_version("closecast", "3")
    client.set_model_version_tag("closecast", "1", "code_version", "earlier")
    client.set_model_version_tag("closecast", "2", "kind", "last_close")  # whose graph is ridge's
    assert register_fits(own.settings, own.retrain, say=str) == {"last_close": 4, "ridge": 5}
    again, cube = begin_retrain(own.settings, "weekly-2", names=["last_close"], last_session=LAST)
    fit_model(own.settings, again, "last_close", cube=cube)
    assert register_fits(own.settings, again, say=str) == {"last_close": 4}
    assert {row.version for row in list_versions(own.settings)} == {1, 2, 4, 5}


def test_a_model_that_was_fitted_anew_under_the_same_id_is_registered_anew(own: Own) -> None:
    before = register_fits(own.settings, own.retrain, say=str)["ridge"]
    (own.retrain.step("snapshot") / "snapshot.json").unlink()
    names, last = own.retrain.names, LAST - timedelta(days=1)
    again, cube = begin_retrain(own.settings, own.retrain.retrain_id, names=names, last_session=last)
    for name in names:
        fit_model(own.settings, again, name, cube=cube)
    assert register_fits(own.settings, again, say=str)["ridge"] > before
    assert connect(own.settings).get_run(show_version(own.settings, before).run_id).info.lifecycle_stage == "active"
