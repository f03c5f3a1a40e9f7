"""A rollback across a change of features, lookback and kind: the older graph takes the same raw bars."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from include.lake.bars import newest_session, open_bars, read_cube, sessions_up_to
from include.lake.predictions import read_run
from include.registry.client import EXPERIMENT, connect
from include.registry.ledger import read_ledger
from include.registry.promote import promote_version, rollback_version
from include.registry.register import register_graph
from include.registry.resolve import resolve_version
from include.scoring.graph import load_graph, run_graph
from include.scoring.score import score_session
from include.settings import Settings
from tests.conftest import TrainedHome

LOOKBACK = 5
CLOSE = 3
WEIGHT = 0.1


def build_older_graph(path: Path) -> Path:
    """One feature, the mean return of four closes; both targets are forecast to move by a tenth of it."""
    nodes = [
        helper.make_node("Gather", ["window", "close"], ["closes"], axis=2),
        helper.make_node("Log", ["closes"], ["logs"]),
        helper.make_node("Gather", ["logs", "newest"], ["last"], axis=1),
        helper.make_node("Gather", ["logs", "oldest"], ["first"], axis=1),
        helper.make_node("Sub", ["last", "first"], ["move"]),
        helper.make_node("Mul", ["move", "weights"], ["log_return"]),
    ]
    constants = [
        helper.make_tensor("close", TensorProto.INT64, [], [CLOSE]),
        helper.make_tensor("newest", TensorProto.INT64, [1], [LOOKBACK - 1]),
        helper.make_tensor("oldest", TensorProto.INT64, [1], [0]),
        helper.make_tensor("weights", TensorProto.FLOAT, [1, 2], [WEIGHT / (LOOKBACK - 1)] * 2),
    ]
    taken = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", LOOKBACK, 6])
    given = helper.make_tensor_value_info("log_return", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "older", [taken], [given], initializer=constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


@pytest.fixture
def home(own: Settings, trained_home: TrainedHome, tmp_path: Path) -> Settings:
    """A home with bars where an older kind of model, version 4, served before today's ridge, version 2."""
    shutil.copytree(trained_home.settings.lake, own.lake, ignore=shutil.ignore_patterns("promotions"))
    graph = build_older_graph(tmp_path / "older.onnx")
    windows = np.ones((2, LOOKBACK, 6), np.float32)
    example = (windows, run_graph(load_graph(graph, threads=1), windows))
    connect(own)
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run() as run:
        tags = {"kind": "mean_return", "lookback": str(LOOKBACK)}
        assert register_graph(own, run, graph, example=example, tags=tags) == 4
    for version in (4, 2):
        promote_version(own, version, who="ada", why="better")
    return own


def read_forecasts(settings: Settings) -> tuple[int, pa.Table]:
    """Score the newest session; return the version that served and the rows that it scored."""
    session = newest_session(settings.lake)
    report = score_session(settings, session)
    rows = read_run(settings.lake, session, report.run_id)
    return report.model_version, rows.filter(pa.compute.field("status") == "scored")


def expect_forecasts(settings: Settings) -> dict[str, float]:
    """Work the older graph's forecasts out by hand, in float64, from the table itself."""
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, newest_session(settings.lake), count=LOOKBACK)
    cube = read_cube(bars, sessions, window=LOOKBACK)
    closes = cube.values[:, :, CLOSE].astype(np.float64)
    moved = closes[-1] * (closes[-1] / closes[0]) ** (WEIGHT / (LOOKBACK - 1))
    return dict(zip(cube.symbols, moved, strict=True))


def test_the_older_version_forecasts_from_the_same_bars_and_the_newer_comes_back(home: Settings) -> None:
    today, ridge = read_forecasts(home)
    assert (today, resolve_version(home).kind) == (2, "ridge")
    assert resolve_version(home).lookback != LOOKBACK

    assert rollback_version(home, to=None, who="ada", why="worse") == (2, 4)
    served, older = read_forecasts(home)
    assert (served, resolve_version(home).kind, resolve_version(home).lookback) == (4, "mean_return", LOOKBACK)
    expected = expect_forecasts(home)
    assert older.num_rows >= ridge.num_rows > 100
    for symbol, predicted in zip(older["symbol"].to_pylist(), older["predicted"].to_pylist(), strict=True):
        assert predicted == pytest.approx(expected[symbol], rel=1e-6)

    assert rollback_version(home, to=2, who="ada", why="the bars were wrong") == (4, 2)
    again, back = read_forecasts(home)
    assert again == 2
    assert back.select(["symbol", "target", "predicted"]).equals(ridge.select(["symbol", "target", "predicted"]))
    assert [line.to_version for line in read_ledger(home)][-3:] == [2, 4, 2]
