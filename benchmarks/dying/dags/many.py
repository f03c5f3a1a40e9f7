"""A run whose tasks all fail, as many as the run's conf says: the house's defaults and callbacks, plain tasks."""

from __future__ import annotations

from airflow.sdk import dag, task

from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS


@task
def count(tasks):
    """Give each task its number."""
    return list(range(int(tasks)))


@task(retries=0)
def fail(number):
    """Fail."""
    raise RuntimeError(f"task {number} fails")


@dag(schedule=None, start_date=BEGIN, default_args=DEFAULT_ARGS, params={"tasks": 200}, **DAG_CALLBACKS)
def many():
    """Fail often."""
    fail.expand(number=count("{{ params.tasks }}"))


many()
