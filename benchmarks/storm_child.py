"""One process of a storm: reports its share of failures by the callback code, as fast as it can, when it is told to.

Says `ready`, waits for a line, and says how many seconds its longest callback took. What a callback imports is imported
before: a process pays for that once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import include.alerts.report  # noqa: F401
from dags.common.callbacks import report_task_failure
from include.settings import load_settings

SESSION = "2026-06-30"


def build_context(number: int) -> Any:
    """Give what Airflow hands to a failure callback, as far as ours reads it."""
    task = SimpleNamespace(task_id=f"score_{number}", map_index=-1, try_number=2, max_tries=1, log_url=None)
    return {
        "dag": SimpleNamespace(dag_id="market_close"),
        "ti": task,
        "run_id": "scheduled__storm",
        "partition_key": SESSION,
        "params": {},
        "exception": RuntimeError(f"shard {number} failed"),
    }


def fail_often(numbers: Sequence[int]) -> float:
    """Report failures one after the other; return the seconds of the longest callback."""
    longest = 0.0
    for number in numbers:
        began = time.perf_counter()
        report_task_failure(build_context(number))
        longest = max(longest, time.perf_counter() - began)
    return longest


def main(first: str, step: str, count: str) -> None:
    """Take part in a storm."""
    load_settings()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{fail_often(range(int(count))[int(first) :: int(step)])}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
