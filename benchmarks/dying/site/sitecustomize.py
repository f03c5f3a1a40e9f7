"""Imported by every interpreter of a system that a benchmark starts: tasks' work and callbacks obey orders to die.

Only the modules of that work are touched, when they are imported, and only where a folder of orders is named. Nothing
of the project is imported before that, so processes start as quickly as without.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

WORK = ("include.tasks", "dags.common.callbacks")


class _Finder:
    """Finds the modules as ever, and has each made mortal once it is there."""

    @staticmethod
    def find_spec(name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name not in WORK:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_mortal(module: ModuleType) -> None:
                from benchmarks.dying.orders import make_mortal

                load(module)
                make_mortal(module)

            spec.loader.exec_module = load_mortal
        return spec


if "DYING_ORDERS" in os.environ:
    sys.meta_path.insert(0, _Finder)
