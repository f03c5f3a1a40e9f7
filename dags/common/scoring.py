"""The task by which a DAG that changed something has its sessions forecast again."""

from __future__ import annotations

from airflow.sdk import task

from dags.common.child import run_child


@task(max_active_tis_per_dagrun=1)
def score_again(session, asked_by):
    """Validate a session, score it and publish it."""
    return run_child("include.tasks:score_again", session, asked_by)
