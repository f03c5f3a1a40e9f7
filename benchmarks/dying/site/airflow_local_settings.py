"""Airflow's cluster policy of a system that a benchmark starts: tries follow each other sooner, one task times out.

Everything else about a task, its callbacks above all, stays as its DAG file says.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

IN_TIME = {"maintain": timedelta(seconds=15)}
"""Work that Airflow ends after a while; a benchmark cannot wait for an hour."""


def task_policy(task: Any) -> None:
    """Try once more at once, in place of twice after ten seconds each."""
    task.retries = min(task.retries, 1)
    task.retry_delay = timedelta(seconds=1)
    if task.task_id in IN_TIME:
        task.execution_timeout = IN_TIME[task.task_id]
