"""A call in a process of its own, for tasks: native code that dies takes the child with it, not the task.

The child is a fork of the resident `child_server` where one listens, else a fresh interpreter.
Measured in the same run on two busy cores, a chain of five tasks: 0.67 s a plain `@task`, 0.73 s with this inside.
`@task.external_python` took 4 to 18 s: its script imports Airflow in the child (2.5 s of CPU) even with
`expect_airflow=False`, and before that two more processes ask for the Python version and for pendulum.

Values go as JSON, so only what XCom may carry passes: texts, numbers, lists, dictionaries. What the child writes goes
where the caller's output goes, which is the task's log.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from include import errors
from include.errors import ClosecastError
from include.system.child_socket import SOCKET, call_server

_PR_SET_PDEATHSIG = 1  # prctl(2)


def run_child(target: str, *arguments: Any) -> Any:
    """Call a function in a new Python process and return what it returns.

    Parameters
    ----------
    target
        Module and function, "include.tasks:score".
    arguments
        JSON values, handed over by position.

    Raises
    ------
    ClosecastError
        The function raised it (same class, same words), raised something else, or the process was killed.

    Examples
    --------
    >>> run_child("math:hypot", 3.0, 4.0)
    5.0
    """
    with tempfile.TemporaryDirectory(prefix="closecast-child-") as folder:
        answer = Path(folder) / "answer.json"
        argv = [sys.executable, "-m", "include.system.child", target, json.dumps(arguments), str(answer)]
        # Airflow's own keys stay here: what a task computes has no use for them.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        server = environment.get(SOCKET)
        code = call_server(server, argv[3:], environment) if server else None
        if code is None:
            code = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        return _read_answer(answer, target, code)


def _read_answer(answer: Path, target: str, code: int) -> Any:
    said = json.loads(answer.read_text()) if answer.exists() else {}
    if "error" in said:
        raise _rebuild_error(said["error"], target)
    if code != 0 or "value" not in said:
        raise ClosecastError("the child of a task must end by itself", value=_name_end(code), place=target)
    return said["value"]


def _name_end(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _rebuild_error(error: dict[str, Any], target: str) -> ClosecastError:
    found = getattr(errors, error["type"], None)
    if isinstance(found, type) and issubclass(found, ClosecastError):
        return found(error["rule"], value=error["value"], place=error["place"])
    return ClosecastError("the child of a task must not fail", value=f"{error['type']}: {error['rule']}", place=target)


def _describe_error(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ClosecastError):
        return {"type": type(error).__name__, "rule": str(error)}
    value = None if error.value is None else str(error.value)
    return {"type": type(error).__name__, "rule": error.rule, "value": value, "place": error.place}


def main(target: str, arguments: str, answer: str) -> int:
    """Do the call that `run_child` asks for; the answer is complete or absent."""
    _die_with_parent()
    module, _, function = target.partition(":")
    try:
        said = {"value": getattr(importlib.import_module(module), function)(*json.loads(arguments))}
    except Exception as error:  # noqa: BLE001  whatever it is, the caller raises it again
        traceback.print_exc()
        said = {"error": _describe_error(error)}
    sys.stdout.flush()
    Path(answer).write_text(json.dumps(said))
    return int("error" in said)


def _die_with_parent() -> None:
    """Ask Linux to kill this process with its parent: a task's child must not write on after the task has failed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
