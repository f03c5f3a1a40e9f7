"""Promotes, rolls back or turns down in processes that are killed before one of their steps.

Reads lines of JSON, [operation, home, registry, step]; for each it forks a process, which dies, and writes by which
signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from include.registry import change
from include.registry.api import RestRegistry
from include.registry.promote import keep_version, promote_version, rollback_version
from include.settings import Settings

STEPS: list[tuple[Any, str]] = [
    (change, "write_atomically"),
    (RestRegistry, "put_in_production"),
    (RestRegistry, "name_champion"),
    (change, "append_line"),
    (RestRegistry, "tag_model"),
    (change, "remember_serving"),
    (Path, "unlink"),
]
"""All that a change does, in its order; the process dies before one of them."""

ARGUMENTS = {"who": "ada", "why": "better"}


def promote(settings: Settings) -> None:
    promote_version(settings, 3, **ARGUMENTS)


def roll_back(settings: Settings) -> None:
    rollback_version(settings, to=None, **ARGUMENTS, request="run 1")


def keep(settings: Settings) -> None:
    keep_version(settings, **ARGUMENTS, detail='{"p": 0.4}', request="run 1")


OPERATIONS = {each.__name__: each for each in (promote, roll_back, keep)}
"""Each can be done again, and then finds itself done."""


def kill_before(owner: Any, name: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)


def work_and_die(operation: str, home: str, url: str, step: int) -> None:
    kill_before(*STEPS[step])
    OPERATIONS[operation](Settings(home=Path(home), mlflow_tracking_uri=url, _env_file=None))


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            work_and_die(*json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status), flush=True)


if __name__ == "__main__":
    main()
