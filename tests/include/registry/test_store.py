"""Registering: a try that died behind it is not registered a second time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from include.registry.resolve import resolve_version
from include.registry.store import EXPERIMENT, connect, find_registered, register_graph
from include.scoring.graph import load_graph, run_graph
from include.settings import PROJECT_ROOT, Settings


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


CONNECT = """
import resource, sys
from include.errors import UnavailableError
from include.registry.store import connect
from include.settings import Settings

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]) if sys.argv[2] else hard, hard))
try:
    print(connect(Settings(home=sys.argv[1], _env_file=None)).get_experiment_by_name("closecast").name)
except UnavailableError as error:
    print(error.rule)
"""


def test_a_database_without_room_is_named_and_the_next_try_makes_it(tmp_path: Path) -> None:
    said = []
    for most_bytes in ("200000", ""):
        argv = [sys.executable, "-c", CONNECT, str(tmp_path), most_bytes]
        said.append(subprocess.run(argv, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout.strip())
    assert said == ["MLflow's database must be writable, and there must be room for it", "closecast"]
