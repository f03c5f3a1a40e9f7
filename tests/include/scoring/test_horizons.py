"""A version that speaks of several sessions is scored for all of them, and settled as each comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from include.ingest.ingest import ingest_upload
from include.lake.reads import read_all
from include.lake.tables import OUTCOMES
from include.monitoring.outcomes import settle
from include.registry.artifact import ModelVersion, hash_file
from include.schema import TARGETS
from include.scoring import plan as planning
from include.scoring.graph import find_misfit
from include.scoring.publish import publish_session
from include.scoring.score import score_session
from tests.conftest import TrainedHome
from tests.include.conftest import Own

LAST = date(2024, 3, 26)
RETURNS = np.array([[0.01, 0.02], [0.03, 0.04], [0.05, 0.06]], dtype=np.float32)
"""Log returns of three sessions ahead, open and close."""


def write_graph(path: Path) -> Path:
    """Write a graph that says the same of every symbol, (n, 3, 2)."""
    nodes = [
        helper.make_node("ReduceSum", ["window", "axes"], ["sums"], keepdims=0),
        helper.make_node("Mul", ["sums", "nought"], ["zeros"]),
        helper.make_node("Reshape", ["zeros", "shape"], ["flat"]),
        helper.make_node("Add", ["flat", "returns"], ["log_return"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("nought", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("shape", TensorProto.INT64, [3], [-1, 1, 1]),
        helper.make_tensor("returns", TensorProto.FLOAT, [1, 3, 2], RETURNS.ravel().tolist()),
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 1, 6])
    found = helper.make_tensor_value_info("log_return", TensorProto.FLOAT, ["n", 3, 2])
    graph = helper.make_graph(nodes, "ahead", [window], [found], constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def far(own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    """The version that serves speaks of three sessions."""
    graph = write_graph(tmp_path / "far.onnx")
    served = planning.resolve_version

    def resolve(*asked: object) -> ModelVersion:
        found = served(*asked)  # type: ignore[arg-type]
        sha256 = hash_file(graph)
        return replace(found, onnx=graph, onnx_sha256=sha256, lookback=1, horizons=3, residuals_sha256=None)

    monkeypatch.setattr(planning, "resolve_version", resolve)
    return own


def test_each_symbol_has_a_row_for_each_session_and_target(far: Own) -> None:
    from include.lake.predictions import read_newest_run

    report = score_session(far.settings, LAST)
    run = read_newest_run(far.settings.lake, LAST)
    symbols = sum(report.statuses.values())
    assert run.num_rows == report.rows == symbols * 3 * len(TARGETS)
    one = run.filter(np.asarray(run["symbol"]) == "sim03").to_pylist()
    days = [LAST + timedelta(days=ahead) for ahead in (1, 2, 3)]
    assert [(row["target_session"], row["target"]) for row in one] == [(day, each) for day in days for each in TARGETS]
    said = np.log([row["predicted"] / row["last_close"] for row in one])
    np.testing.assert_allclose(said, RETURNS.ravel(), rtol=1e-5)
    csv, _ = publish_session(far.settings, LAST)
    assert len(csv.read_text().splitlines()) == 1 + symbols * 3


def test_each_session_is_settled_as_it_comes(far: Own, trained_home: TrainedHome) -> None:
    score_session(far.settings, LAST)
    for ahead in (1, 2):
        day = LAST + timedelta(days=ahead)
        ingest_upload(far.settings, trained_home.uploads[day])
        settle(far.settings, day)
    found = read_all(far.settings.lake, OUTCOMES).to_pylist()
    assert {(row["target_session"], row["horizon"]) for row in found} == {
        (LAST + timedelta(days=ahead), ahead) for ahead in (1, 2)
    }


def test_a_graph_that_speaks_of_fewer_sessions_than_it_says_is_found(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "far.onnx")
    assert find_misfit(graph, lookback=1, horizons=3) is None
    assert r"log returns (1, 2, 2)" in str(find_misfit(graph, lookback=1, horizons=2))
    assert r"log returns (1, 2)" in str(find_misfit(graph, lookback=1))
