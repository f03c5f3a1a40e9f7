"""
### maintain_lake: small files merged, old ones removed

**What**: merges the small files of the tables, then removes data files that no version of the audit window needs, files
that a dead process left behind, old published files and scratch. Bars stay readable at every version of the window.

**When**: on the first of each month at 04:00 UTC, or by hand. `closecast lake maintain --dry-run` lists what would go.

**Reads**: the logs of all tables.

**Writes**: neutral commits to the tables; removes files.

**On failure**: two retries, then a message to Slack; a run that was killed is made good by the next.

**Settings**: `CLOSECAST_AUDIT_WINDOW_DAYS`, `CLOSECAST_UPLOAD_RETENTION_DAYS`.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from airflow.timetables.trigger import CronTriggerTimetable

from dags.common.child import run_child
from dags.common.defaults import DAG_CALLBACKS, DEFAULT_ARGS


@task
def maintain():
    """Merge and remove."""
    return run_child("include.tasks:maintain")


@dag(
    # No start date: with one, a new installation would begin with the month that has been.
    schedule=CronTriggerTimetable("0 4 1 * *", timezone="UTC", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    doc_md=__doc__,
    tags=["lake"],
)
def maintain_lake():
    """Keep the lake up."""
    maintain()


maintain_lake()
