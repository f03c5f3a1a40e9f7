"""Registering: a try that died behind it is not registered a second time."""

from __future__ import annotations

import numpy as np

from include.registry.resolve import resolve_version
from include.registry.store import EXPERIMENT, connect, find_registered, register_graph
from include.scoring.graph import load_graph, run_graph
from include.settings import Settings


def test_a_request_registers_one_version(own: Settings) -> None:
    graph = resolve_version(own, 1).onnx
    assert graph is not None
    windows = np.ones((2, 1, 6), np.float32)
    example = (windows, run_graph(load_graph(graph, threads=1), windows))
    tags = {"kind": "last_close", "lookback": "1", "request": "retrain 7, last_close"}
    assert find_registered(own, tags["request"]) is None
    connect(own)
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    for _ in range(2):
        with mlflow.start_run() as run:
            assert register_graph(own, run, graph, example=example, tags=tags) == 4
    assert find_registered(own, tags["request"]) == 4
    assert find_registered(own, None) is None
    assert resolve_version(own, 4).lookback == 1
