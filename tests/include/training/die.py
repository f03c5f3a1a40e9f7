"""Does the steps of a retrain in processes that are killed before the Nth thing that a step does.

Reads lines of JSON, [home, registry, N]; for each it forks a process, which dies, and writes by which signal.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from include.registry import change
from include.settings import Settings
from include.training import done, fit, promote, record, register
from tests.include.registry.die import kill_before

RETRAIN_ID = "weekly-1"

STEPS: list[tuple[str, Any, str]] = [
    ("fit", fit, "write_json"),
    ("fit", done, "write_json"),
    ("register", MlflowClient, "create_model_version"),
    ("register", register, "write_json"),
    ("register", done, "write_json"),
    ("promote", change, "append_line"),
    ("promote", change, "remember_serving"),
    ("promote", promote, "write_json"),
    ("promote", done, "write_json"),
]
"""The step, and what it dies before."""


def ignore(said: str) -> None:
    """Listen to nothing."""


def do_step(settings: Settings, step: str) -> None:
    retrain = record.open_retrain(settings, RETRAIN_ID)
    if step == "fit":
        fit.fit_model(settings, retrain, "last_close")
    elif step == "register":
        register.register_fits(settings, retrain, say=ignore)
    else:
        promote.promote_judged(settings, retrain, who="ada", say=ignore)


def main() -> None:
    for line in sys.stdin:
        home, url, number = json.loads(line)
        child = os.fork()
        if not child:
            step, owner, name = STEPS[number]
            kill_before(owner, name)
            do_step(Settings(home=Path(home), mlflow_tracking_uri=url, train_windows=5000, holdout_sessions=20), step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status), flush=True)


if __name__ == "__main__":
    main()
