"""The MLflow server alone: it goes with the process that started it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from include.settings import PROJECT_ROOT, Settings
from include.system.environment import settings_variables
from include.system.health import ask

pytestmark = [pytest.mark.stack, pytest.mark.slow]

CODE = """
import time
from include.settings import Settings
from include.system.mlflow_server import serve_alone
with serve_alone(Settings(_env_file=None)) as served:
    print(served.mlflow_tracking_uri, flush=True)
    time.sleep(120)
"""


def test_a_server_whose_starter_is_killed_ends(settings: Settings) -> None:
    environment = os.environ | settings_variables(settings)
    argv = [sys.executable, "-c", CODE]
    with subprocess.Popen(argv, env=environment, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        health = f"{starter.stdout.readline().strip()}/health"
        assert ask(health).problem is None
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while ask(health).problem is None:
        assert time.monotonic() < deadline, "the server must end with its starter"
        time.sleep(0.1)
