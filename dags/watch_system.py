"""
### watch_system: what no callback tells

**What**: looks at Airflow and at the lake, and tells of what callbacks cannot: a failure that nobody was told of, a run
in which nothing moves, a session without its upload or its forecasts by the deadline, a DAG that is paused or does not
parse; and tells when each is over.

**When**: every `CLOSECAST_WATCH_EVERY_S` seconds.

**Reads**: Airflow's REST interface; `uploads`, `scoring_runs`, the inbox; the incidents.

**Writes**: the incidents; `run/watch_system.json` in the home.

**On failure**: two retries, then a message to Slack like any other DAG's. What can be read is judged all the same. If
it does not run at all, the watcher outside Airflow says so.

**Settings**: `CLOSECAST_WATCH_EVERY_S`, `CLOSECAST_UPLOAD_DUE_S`, `CLOSECAST_FORECAST_DEADLINE_S`,
`CLOSECAST_STUCK_AFTER_S`.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import dag, task
from airflow.timetables.trigger import DeltaTriggerTimetable

from dags.common.child import run_child
from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS


@task
def look():
    """Look once, and tell what is due."""
    return run_child("include.tasks:watch_system")


@dag(
    schedule=DeltaTriggerTimetable(timedelta(seconds=int(os.environ.get("CLOSECAST_WATCH_EVERY_S", "180")))),
    start_date=BEGIN,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    doc_md=__doc__,
    tags=["system"],
)
def watch_system():
    """Look."""
    look()


watch_system()
