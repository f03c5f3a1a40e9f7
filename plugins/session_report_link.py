"""The button from a task to its session's page; apart from the pages' app, whose imports cost a DAG file seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

MOUNT = "/session-reports"
"""Where Airflow's web server shows them."""


class SessionReportLink(BaseOperatorLink):
    """A button on a task that writes the page of its first argument, a session; of the newest where that is empty."""

    name = "Session report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address, below Airflow's own."""
        return f"{MOUNT}/{operator.op_args[0] or 'newest'}"
