"""The button from a task to its session's Data Docs; apart from their app, whose imports cost a DAG file seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

MOUNT = "/data-docs"
"""Where Airflow's web server shows them."""


class DataDocsLink(BaseOperatorLink):
    """A button on a task that validates the session that is its first argument.

    Which page is the newest is looked up when someone follows it: the task's process imports nothing for it.
    """

    name = "Data Docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address, below Airflow's own."""
        return f"{MOUNT}/session/{operator.op_args[0]}"
