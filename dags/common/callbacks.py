"""Failure callbacks: from an Airflow context to a message, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

SLACK_CONNECTION = "closecast_slack"


def tell_failure(context: Context) -> None:
    """Tell Slack that a task has used its last try."""
    from include.alerts.messages import build_failure_message
    from include.alerts.send import send_message

    send_message(build_failure_message(_read_failure(context)), _find_webhook())


def _read_failure(context: Context) -> Any:
    from include.alerts.messages import TaskFailure

    task = context["ti"]
    return TaskFailure(
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=str(context.get("run_id")),
        session=context.get("partition_key") or context["params"].get("session"),
        try_number=task.try_number,
        max_tries=(task.max_tries or 0) + 1,
        cause=str(context.get("exception") or "no exception was given"),
        log_url=getattr(task, "log_url", None),
    )


def _find_webhook() -> str | None:
    """Take the webhook from settings, else from the Airflow connection of that name (its password field)."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    from include.settings import load_settings

    if secret := load_settings().slack_webhook_url:
        return secret.get_secret_value()
    try:
        connection = Connection.get(SLACK_CONNECTION)
    except AirflowNotFoundException:
        return None
    return connection.password or connection.host
