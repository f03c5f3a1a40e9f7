"""Registering: a try that died behind it is not registered a second time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from include.registry.api import RegistryState
from include.registry.client import EXPERIMENT, connect
from include.registry.local import LocalRegistry
from include.registry.register import find_registered, register_graph
from include.registry.resolve import resolve_version
from include.registry.versions import list_versions
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
from include.registry.client import connect
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


def test_the_database_tells_what_mlflows_client_tells(own: Settings) -> None:
    client = connect(own)
    client.set_registered_model_alias("closecast", "shadow", "1")
    client.set_registered_model_tag("closecast", "note", "read me")
    client.delete_model_version("closecast", "3")
    registry = LocalRegistry(own)
    state = registry.look()
    assert state == registry.look_by_client()
    assert set(state.versions) == {1, 2}
    assert state.aliases == {"champion": 2, "shadow": 1}
    run_id = state.versions[2].run_id
    assert registry.read_metrics(run_id) == client.get_run(run_id).data.metrics
    assert registry.read_metrics("0" * 32) == {}
    nobodys = LocalRegistry(own.model_copy(update={"model_name": "nobodys"}))
    assert nobodys.look() == nobodys.look_by_client() == RegistryState({}, None, {})


def test_a_store_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, _env_file=None)
    assert list_versions(settings) == []
    assert (settings.mlflow_home / "mlflow.db").is_file()


def test_a_server_lists_what_the_local_store_lists(own: Settings, mlflow_url: str) -> None:
    found = list_versions(own)
    assert list_versions(own.model_copy(update={"mlflow_tracking_uri": mlflow_url})) == found
    assert [row.version for row in found] == [3, 2, 1]
    assert found[1].aliases == ["champion"]
    assert found[1].metrics["relative_error"] > 0


def test_to_list_and_resolve_versions_imports_no_mlflow(own: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; from include.settings import Settings\n"
        "from include.registry.versions import list_versions; from include.registry.resolve import resolve_version\n"
        f"settings = Settings(home=Path({str(own.home)!r}), _env_file=None)\n"
        "print(len(list_versions(settings)), resolve_version(settings).version, 'mlflow' in sys.modules)"
    )
    resolve_version(own)  # which reconciles, and fetches the graph into the cache
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert done.stdout.split() == ["3", "2", "False"]
