"""A running system as far as a watcher can see it: Airflow's health document, and the state of a supervisor."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import psutil

from include.system.components import AIRFLOW_HEALTH, EXECUTION_HEALTH
from include.system.state import ComponentState, State, created_after_boot

BEAT = 1_800_000_000.0  # 2027-01-15T08:00:00Z
WORKERS = ("scheduler", "dag_processor", "triggerer")


def make_document(*, beat: float = BEAT, metadatabase: str = "healthy", **status: str) -> dict[str, dict[str, str]]:
    """Give what Airflow answers; all are healthy but those that are named."""
    heartbeat = datetime.fromtimestamp(beat, UTC).isoformat()
    parts = {name: {"status": status.get(name, "healthy"), f"latest_{name}_heartbeat": heartbeat} for name in WORKERS}
    return {"metadatabase": {"status": metadatabase}, **parts}


def make_state(airflow_url: str, mlflow_url: str = "http://127.0.0.1:2", **changes: object) -> State:
    """Give the state of a system whose supervisor is this process, as it is once all are healthy."""
    probes = {
        "api-server": (airflow_url + EXECUTION_HEALTH, None),
        **{name.replace("_", "-"): (airflow_url + AIRFLOW_HEALTH, name) for name in WORKERS},
        "mlflow": (f"{mlflow_url}/health", None),
        "child-server": ("unix:/nowhere", None),
    }
    components = {
        name: ComponentState("healthy", log=f"{name}.log", url=url, section=section)
        for name, (url, section) in probes.items()
    }
    state = {
        "instance": "tests",
        "supervisor_pid": os.getpid(),
        "supervisor_created": created_after_boot(psutil.Process()),
        "started_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"),
        "airflow_url": airflow_url,
        "mlflow_url": mlflow_url,
        "ready": True,
        "components": components,
    }
    return State(**state | changes)
