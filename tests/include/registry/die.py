"""Promotes in a process that is killed before the Nth of its steps: python -m tests.include.registry.die HOME URL N."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from include.registry import change
from include.registry.api import RestRegistry
from include.registry.promote import promote_version
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


def kill_before(owner: Any, name: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)


def main(arm: Callable[..., None] = kill_before) -> None:
    home, url, step = sys.argv[1:]
    settings = Settings(home=Path(home), mlflow_tracking_uri=url, _env_file=None)
    arm(*STEPS[int(step)])
    promote_version(settings, 3, **ARGUMENTS)


if __name__ == "__main__":
    main()
