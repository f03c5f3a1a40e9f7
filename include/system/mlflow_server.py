"""Prepares MLflow's local store, then becomes the MLflow server.

The store is prepared under the lock that clients take too: the server and a training that both find no database would
otherwise migrate it at the same time, and both fail.
"""

from __future__ import annotations

import os
import sys

from include.registry.store import prepare_store
from include.settings import Settings


def main(arguments: list[str]) -> None:
    """Prepare, then replace this process by `mlflow server` with these arguments."""
    prepare_store(Settings(mlflow_tracking_uri=None, _env_file=None))
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
