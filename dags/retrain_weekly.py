"""
### retrain_weekly: every model anew, and the gate says who serves

**What**: pins a snapshot of `bars`, fits every model on it, refits each over the held-out newest sessions to see how it
does over time, registers each as a version, has the gate judge them beside what serves and the naive models on the
held-out sessions, and promotes what it names. Where no challenger passes, what serves stays; the ledger and MLflow keep
the verdict either way. Leak tests fail it by name.

**When**: Sundays at 03:00 UTC, or by hand.

**Reads**: `bars` at one version; the version in Production.

**Writes**: `training/` in the home, a record of each step; MLflow runs and versions; `promotions`.

**On failure**: two retries, which go on where the step stopped, then a message to Slack; the model in Production stays.
While MLflow is down it waits, then fails.

**Settings**: `CLOSECAST_MODELS`, `CLOSECAST_HOLDOUT_SESSIONS`, `CLOSECAST_BACKTEST_ORIGINS`, `CLOSECAST_TRAIN_WINDOWS`,
`CLOSECAST_SEED`, `CLOSECAST_REGISTRY_WAIT_S`.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from airflow.timetables.trigger import CronTriggerTimetable

from dags.common.child import run_child
from dags.common.defaults import DAG_CALLBACKS, DEFAULT_ARGS


@task
def snapshot(asked_by):
    """Pin what the retrain reads."""
    return run_child("include.tasks:snapshot", asked_by)


@task(max_active_tis_per_dagrun=1)
def fit(name, asked_by):
    """Fit one model and forecast the held-out sessions."""
    return run_child("include.tasks:fit", name, asked_by)


@task(max_active_tis_per_dagrun=1)
def backtest(name, asked_by):
    """Refit one model before each origin in the held-out sessions, and measure it."""
    return run_child("include.tasks:backtest", name, asked_by)


@task
def register(asked_by):
    """Register what was fitted."""
    return run_child("include.tasks:register", asked_by)


@task
def gate(asked_by):
    """Judge what was registered."""
    return run_child("include.tasks:judge", asked_by)


@task
def promote(asked_by):
    """Let the verdict take effect."""
    return run_child("include.tasks:promote", asked_by)


@dag(
    # No start date: with one, a new installation would retrain at once for the Sunday that has been.
    schedule=CronTriggerTimetable("0 3 * * 0", timezone="UTC", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    doc_md=__doc__,
    tags=["model"],
)
def retrain_weekly():
    """Chain the retrain."""
    asked_by = "{{ run_id }}"
    names = snapshot(asked_by)
    fitted = fit.partial(asked_by=asked_by).expand(name=names)
    backtested = backtest.partial(asked_by=asked_by).expand(name=names)
    fitted >> backtested >> register(asked_by) >> gate(asked_by) >> promote(asked_by)


retrain_weekly()
