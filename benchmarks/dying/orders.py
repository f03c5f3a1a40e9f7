"""Orders to die: a file for each task's work, named by its function, that holds the way and is read as it begins.

The processes of a running system read them; a benchmark writes them. While none is written, nothing changes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.dying.ways import die

FOLDER = "DYING_ORDERS"
"""The variable that names the folder of the orders."""


class Orders:
    """The orders of one running system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def give(self, function: str, way: str) -> None:
        """Order whatever does this work to die from now on."""
        part = self._folder / f".{function}"
        part.write_text(way)
        part.replace(self._folder / function)

    def take_back(self, function: str) -> None:
        """Let the work be done again."""
        (self._folder / function).unlink(missing_ok=True)


def make_mortal(module: ModuleType) -> None:
    """Have every public function of a module look for its order before it works."""
    for name, found in vars(module).items():
        if callable(found) and not name.startswith("_") and getattr(found, "__module__", None) == module.__name__:
            setattr(module, name, _obeying(name, found))


def _obeying(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def obey(*given: Any, **named: Any) -> Any:
        order = Path(os.environ[FOLDER]) / name
        if order.exists():
            die(order.read_text())
        return work(*given, **named)

    return obey
