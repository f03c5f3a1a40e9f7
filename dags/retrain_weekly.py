"""
### retrain_weekly: every model anew, the best into Production

**What**: pins a snapshot of `bars`, fits every model on it, judges each on the held-out newest sessions, registers
each as a version, promotes the one with the lowest error. Last close is a candidate like any other.

**When**: Sundays at 03:00 UTC, or by hand.

**Reads**: `bars` at one version.

**Writes**: MLflow runs and versions; `promotions`.

**On failure**: two retries, then a message to Slack; the model in Production stays.

**Settings**: `CLOSECAST_HOLDOUT_SESSIONS`, `CLOSECAST_TRAIN_WINDOWS`, `CLOSECAST_SEED`.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from airflow.timetables.trigger import CronTriggerTimetable

from dags.common.child import run_child
from dags.common.defaults import DEFAULT_ARGS
from models.catalog import MODEL_NAMES


@task
def snapshot():
    """Pin what the retrain reads."""
    return run_child("include.tasks:snapshot")


@task(max_active_tis_per_dagrun=1)
def fit(name, pinned):
    """Fit, judge and register one model."""
    return run_child("include.tasks:fit", name, pinned)


@task
def promote(candidates, asked_by):
    """Put the best into Production."""
    return run_child("include.tasks:promote", list(candidates), asked_by)


@dag(
    # No start date: with one, a new installation would retrain at once for the Sunday that has been.
    schedule=CronTriggerTimetable("0 3 * * 0", timezone="UTC", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["model"],
)
def retrain_weekly():
    """Chain the retrain."""
    pinned = snapshot()
    candidates = fit.partial(pinned=pinned).expand(name=list(MODEL_NAMES))
    promote(candidates, "{{ run_id }}")


retrain_weekly()
