"""The seven programs of an embedded Closecast as data, and the one command that runs before them.

The supervisor knows nothing about Airflow or MLflow: what it starts, asks and stops is said here.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

from include.settings import Settings
from include.system.child_socket import socket_path
from include.system.endpoints import LOOPBACK, Endpoints
from include.system.environment import airflow_database
from include.system.health import Probe
from include.system.state import heartbeat_file

AIRFLOW_HEALTH = "/api/v2/monitor/health"
# The first request to the execution API builds all its versions (9 s of CPU). Asked here before the system
# counts as healthy, that time is not taken from the first task, whose own request would time out and be tried again.
EXECUTION_HEALTH = "/execution/health"


@dataclass(frozen=True)
class Component:
    """One program to keep running.

    `stage` orders starts and, backwards, stops. `waits_for_setup` holds it back until the setup command is through.
    `grace_s` is the time between the request to stop and the kill.
    """

    name: str
    argv: tuple[str, ...]
    probe: Probe
    stage: int = 0
    waits_for_setup: bool = False
    grace_s: float = 5.0


@dataclass(frozen=True)
class Setup:
    """A command that must succeed before the components that wait for it start."""

    name: str
    argv: tuple[str, ...]


def build_components(settings: Settings, endpoints: Endpoints) -> tuple[Component, ...]:
    """List the components in start order; without an MLflow server where the settings name another."""
    health = endpoints.airflow_url + AIRFLOW_HEALTH
    airflow = (
        Component(
            "api-server",
            _airflow("api-server", "--workers", "1"),
            Probe(endpoints.airflow_url + EXECUTION_HEALTH),
            stage=1,
            waits_for_setup=True,
        ),
        # The pages read logs from the local folder: no log servers, whose ports are fixed and would clash.
        _worker("scheduler", health, "--skip-serve-logs", grace_s=10.0),
        _worker("dag-processor", health),
        # It takes ten seconds to end by itself, and keeps nothing that is not in the database.
        _worker("triggerer", health, "--skip-serve-logs", grace_s=1.0),
    )
    children = socket_path(settings.run_dir)
    # It imports while the database is migrated, and is needed by the first task only.
    child_server = Component(
        "child-server",
        (sys.executable, "-m", "include.system.child_server", str(children)),
        Probe(f"unix:{children}"),
    )
    # The last to be stopped would tell of the others' ends.
    watcher = Component(
        "watcher",
        (sys.executable, "-m", "include.watchdog.watcher"),
        Probe(f"file:{heartbeat_file(settings.run_dir)}"),
        stage=3,
    )
    own = () if settings.mlflow_tracking_uri else (mlflow_component(settings, endpoints),)
    return (*own, child_server, *airflow, watcher)


def _worker(name: str, health_url: str, *options: str, grace_s: float = 5.0) -> Component:
    probe = Probe(health_url, name.replace("-", "_"))
    return Component(name, _airflow(name, *options), probe, stage=2, waits_for_setup=True, grace_s=grace_s)


def _airflow(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "airflow", *arguments)


def mlflow_component(settings: Settings, endpoints: Endpoints) -> Component:
    """Describe the MLflow server of a home; its health address asks for no login."""
    backend = settings.mlflow_home / "mlflow.db"
    # Artifacts are written straight into the folder by clients: through the server or past it, they are the same.
    options = {
        "--backend-store-uri": f"sqlite:///{backend}",
        "--default-artifact-root": str(settings.mlflow_home / "artifacts"),
        "--host": LOOPBACK,
        "--port": str(endpoints.mlflow_port),
        "--workers": "1",
    }
    pairs = (part for pair in options.items() for part in pair)
    argv = (sys.executable, "-m", "include.system.mlflow_server", "--no-serve-artifacts", *pairs)
    return Component("mlflow", argv, Probe(f"{endpoints.mlflow_url}/health"))


def plan_setup(settings: Settings) -> Setup | None:
    """Give the migration of Airflow's database, or None where this version has already made it."""
    return None if is_migrated(settings) else Setup("migrate", _airflow("db", "migrate"))


def is_migrated(settings: Settings) -> bool:
    """Tell whether the installed Airflow has migrated this home's database, without starting Airflow (seconds)."""
    try:
        marker = json.loads(_marker(settings).read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(marker == _schema_state(settings) and marker["revision"])


def mark_migrated(settings: Settings) -> None:
    """Record the version and the schema revision that a migration has left."""
    _marker(settings).write_text(json.dumps(_schema_state(settings)))


def _marker(settings: Settings) -> Path:
    return settings.airflow_home / "migrated.json"


def _schema_state(settings: Settings) -> dict[str, str | None]:
    version = importlib.metadata.version("apache-airflow-core")
    return {"airflow": version, "revision": _read_revision(airflow_database(settings))}


def _read_revision(database: Path) -> str | None:
    if not database.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError:
            return None
    return None if row is None else str(row[0])
