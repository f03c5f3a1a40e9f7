"""The same deaths as stock Airflow has them: plain tasks, whose failure callback is the Slack provider's notifier.

The way to die comes with the run; tries are as many as the house's. `stock_in_time` has a time limit, `stock_raising` a
notifier whose text cannot be rendered.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.sdk import dag, task

TEXT = "{{ dag.dag_id }} {{ run_id }} {{ ti.task_id }} failed"


@task
def work(way):
    """Die."""
    from benchmarks.dying.ways import die

    die(way)


def build_dag(dag_id: str, text: str = TEXT, execution_timeout: timedelta | None = None) -> None:
    """Build a DAG of one task."""
    told = SlackWebhookNotifier(slack_webhook_conn_id="stock_slack", text=text)
    defaults = {"retries": 1, "execution_timeout": execution_timeout, "on_failure_callback": told}

    @dag(dag_id, schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC), default_args=defaults)
    def die_once() -> None:
        work("{{ dag_run.conf['way'] }}")

    die_once()


build_dag("stock")
build_dag("stock_in_time", execution_timeout=timedelta(seconds=15))
build_dag("stock_raising", text="{{ ti.no_such_thing.at_all }}")
