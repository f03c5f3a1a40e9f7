"""Prepares MLflow's local store and its users, then becomes the MLflow server.

The store is prepared under the lock that clients take too: the server and a training that both find no database would
otherwise migrate it at the same time, and both fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from include.errors import UnavailableError
from include.registry.client import prepare_store
from include.settings import PROJECT_ROOT, Settings
from include.system import warden
from include.system.components import mlflow_component
from include.system.credentials import use_own_mlflow
from include.system.endpoints import choose_endpoints
from include.system.environment import component_environment
from include.system.health import ask
from include.system.mlflow_users import prepare_users
from include.system.process import Surroundings

_START_TIMEOUT_S = 90.0
_POLL_S = 0.2


@contextmanager
def serve_alone(settings: Settings) -> Iterator[Settings]:
    """Run a home's MLflow server without the rest of the system; give the settings by which its service reaches it.

    Raises
    ------
    UnavailableError
        It is not healthy in time; its log says why.
    """
    endpoints = choose_endpoints(settings)
    component = mlflow_component(settings, endpoints)
    around = Surroundings(
        uuid.uuid4().hex, component_environment(settings, endpoints), PROJECT_ROOT, settings.run_dir / "logs"
    )
    # Whatever becomes of this process, the warden ends the server when the pipe to it closes.
    guard = subprocess.Popen(
        [sys.executable, "-P", warden.__file__, around.instance], stdin=subprocess.PIPE, start_new_session=True
    )
    process = around.open_process(component.name, component.argv)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while problem := ask(component.probe.url).problem:
            if process.poll() is not None or time.monotonic() > deadline:
                place = str(around.log_of(component.name))
                raise UnavailableError("the MLflow server must start", value=problem, place=place)
            time.sleep(_POLL_S)
        yield use_own_mlflow(settings, endpoints.mlflow_url)
    finally:
        process.terminate()
        guard.communicate()  # closes the pipe, and waits until all is ended
        process.wait()


def main(arguments: list[str]) -> None:
    """Prepare, then replace this process by `mlflow server` with these arguments, which asks for a login."""
    settings = Settings(mlflow_tracking_uri=None, _env_file=None)
    prepare_store(settings)
    environment = {**os.environ, **prepare_users(settings)}
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", *arguments]
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
