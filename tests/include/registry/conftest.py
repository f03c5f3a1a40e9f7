"""A registry of a test's own: the trained home's, copied, with a third version; and an MLflow server over it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.registry.client import connect
from include.settings import Settings
from include.system.mlflow_server import serve_alone
from tests.conftest import TrainedHome

AS_TRAINED = """
DELETE FROM model_version_tags WHERE version > 2;
DELETE FROM registered_model_aliases;
DELETE FROM model_versions WHERE version > 2;
UPDATE model_versions SET current_stage = 'None' WHERE version = 1;
UPDATE model_versions SET current_stage = 'Production' WHERE version = 2;
"""
"""Other tests have moved and registered versions by now."""


def copy_registry(trained_home: TrainedHome, home: Path) -> Settings:
    """Three versions: 1 last_close, 2 ridge (Production, champion), 3 the same graph as 1."""
    shutil.copytree(trained_home.settings.mlflow_home, home / "mlflow", ignore=shutil.ignore_patterns("artifacts"))
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        database.executescript(AS_TRAINED)
    settings = Settings(home=home, _env_file=None)
    client = connect(settings)
    client.set_registered_model_alias("closecast", "champion", "2")
    first = client.get_model_version("closecast", "1")
    client.create_model_version(
        "closecast", first.source, run_id=first.run_id, tags=first.tags, model_id=first.model_id
    )
    return settings


@pytest.fixture
def own(tmp_path: Path, trained_home: TrainedHome) -> Settings:
    """A home of its own, registry included, that no run has looked at yet."""
    return copy_registry(trained_home, tmp_path / "home")


@pytest.fixture(scope="package")
def guarded(trained_home: TrainedHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The server that `closecast up` starts, which asks for a login, over a copied registry."""
    with serve_alone(copy_registry(trained_home, tmp_path_factory.mktemp("guarded") / "home")) as settings:
        yield settings


@pytest.fixture
def mlflow_url(own: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's own handlers over the copied registry, on loopback."""
    import mlflow.server
    import mlflow.server.handlers as handlers
    from werkzeug.serving import make_server

    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", own.tracking_uri)
    for name in ("_tracking_store", "_model_registry_store"):
        monkeypatch.setattr(handlers, name, None)
    server = make_server("127.0.0.1", 0, mlflow.server.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
