"""Airflow's own command line on a home: it reads its configuration from the environment that its services have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from include.errors import NotFoundError
from include.settings import PROJECT_ROOT, Settings
from include.system.endpoints import recall_endpoints
from include.system.environment import airflow_database, component_environment


def run_airflow(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `airflow` with these arguments, the caller's terminal as its own; return its exit code.

    Raises
    ------
    NotFoundError
        The home has no database of Airflow.
    """
    database = airflow_database(settings)
    if not database.exists():
        raise NotFoundError("the home must have a database of Airflow (closecast up makes it)", place=str(database))
    environment = component_environment(settings, recall_endpoints(settings))
    argv = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(argv, env=environment, cwd=PROJECT_ROOT, check=False).returncode
