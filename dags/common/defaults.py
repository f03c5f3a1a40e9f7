"""What all DAGs share: tries, time limits, who hears of failures, the first and last scheduled session."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from dags.common.callbacks import report_run_failure, report_run_success, report_task_failure

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "closecast",
    # Two, since a restart of the whole system takes one: a task that was at work is tried again before all is up.
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": report_task_failure,
}

DAG_CALLBACKS: dict[str, Any] = {
    "on_failure_callback": report_run_failure,
    "on_success_callback": report_run_success,
}
"""For the DAG itself."""

BEGIN = datetime(2013, 1, 1, tzinfo=UTC)


def first_session() -> datetime | None:
    """Return the first scheduled session as midnight UTC, from CLOSECAST_FIRST_SESSION; None where it is not set."""
    return _read_day("CLOSECAST_FIRST_SESSION")


def last_session() -> datetime | None:
    """Return the last scheduled session as midnight UTC, from CLOSECAST_LAST_SESSION; None means no end."""
    return _read_day("CLOSECAST_LAST_SESSION")


def _read_day(name: str) -> datetime | None:
    value = os.environ.get(name)
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None
