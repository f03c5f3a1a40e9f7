"""
### market_close: the day's upload becomes forecasts

**What**: waits for the session's upload, ingests it, validates the session, scores every symbol of the universe with
the model in Production, publishes the forecasts as files, settles the forecasts that spoke of the session, and starts
`watch_forecasts`.

**When**: at every session's close and `CLOSECAST_CLOSE_DELAY_S` seconds (calendar: `CLOSECAST_CALENDAR`). By hand: with
a `session` in the form, or `partition_key` by REST; sessions of the past by a backfill.

**Reads**: the inbox; `bars`; the model in Production.

**Writes**: `uploads`, `bars`, `quarantine`, `validations`, `predictions`,
`scoring_runs`, `outcomes`, `calibrations`; `published/SESSION.csv` and `.parquet`.

**On failure**: two retries, none where the input breaks a rule, then an incident that Slack is told of
(docs/alerts.md), as of a run that is not through by its deadline. A session that fails its validation is not scored;
the forecasts of the session before stay.

**Settings**: `CLOSECAST_FIRST_SESSION`, `CLOSECAST_LAST_SESSION`, `CLOSECAST_UPLOAD_TIMEOUT_S`,
`CLOSECAST_OPEN_SESSIONS`, `CLOSECAST_FORECAST_DEADLINE_S`, `CLOSECAST_SHARDS`.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DeadlineAlert, Param, SyncCallback, dag, task
from data_docs_link import DataDocsLink
from market_close_timetable import MarketCloseTimetable
from run_made import RunMade
from upload_sensor import UploadSensor

from dags.common.callbacks import report_late_run
from dags.common.child import run_child
from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS, first_session, last_session

RUN = "{{ dag.dag_id }}/{{ run_id }}"


@task
def ingest(session):
    """Turn the session's uploads into bars."""
    return run_child("include.tasks:ingest", session)


@task
def validate(session):
    """Hold the session against its expectations; a failure blocks the score."""
    return run_child("include.tasks:validate", session)


@task
def score(session, asked_by):
    """Score every symbol of the session's universe."""
    return run_child("include.tasks:score", session, asked_by)


@task
def plan_score(session, asked_by):
    """Decide what all shards of the run read, and by which model."""
    return run_child("include.tasks:plan_score", session, asked_by)


@task
def score_shard(run_id, shard):
    """Score the symbols of one shard."""
    return run_child("include.tasks:score_shard", run_id, shard)


@task
def commit_score(run_id):
    """Make the forecasts of all shards readable, at once."""
    return run_child("include.tasks:commit_score", run_id)


@task
def check_future(session):
    """Score an earlier session again with noise in place of what came later; a difference blocks publishing."""
    return run_child("include.tasks:check_future", session)


@task
def publish(session):
    """Write the session's forecasts as files."""
    return run_child("include.tasks:publish", session)


@task
def settle(session):
    """Join the session with the forecasts that spoke of it, and calibrate the next intervals."""
    return run_child("include.tasks:settle", session)


@dag(
    schedule=MarketCloseTimetable(
        calendar=os.environ.get("CLOSECAST_CALENDAR", "24/7"),
        delay_s=int(os.environ.get("CLOSECAST_CLOSE_DELAY_S", "60")),
    ),
    start_date=first_session() or BEGIN,
    end_date=last_session(),
    catchup=first_session() is not None,
    # A run that waits for its upload counts, and holds no worker.
    max_active_runs=int(os.environ.get("CLOSECAST_OPEN_SESSIONS", "16")),
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    deadline=DeadlineAlert(
        reference=RunMade(),
        interval=timedelta(seconds=int(os.environ.get("CLOSECAST_FORECAST_DEADLINE_S", "14400"))),
        callback=SyncCallback(report_late_run),
        name="forecasts are out",
    ),
    params={"session": Param(None, type=["null", "string"], format="date", title="Session", description="YYYY-MM-DD")},
    doc_md=__doc__,
    tags=["forecast"],
)
def market_close():
    """Chain the day."""
    session = "{{ partition_key or params.session or '' }}"
    arrived = UploadSensor(
        task_id="wait_for_upload",
        session=session,
        timeout=float(os.environ.get("CLOSECAST_UPLOAD_TIMEOUT_S", str(6 * 3600))),
    )
    validated = validate(session)
    validated.operator.operator_extra_links = (DataDocsLink(),)
    arrived >> ingest(session) >> validated
    shards = int(os.environ.get("CLOSECAST_SHARDS", "1"))
    if shards == 1:
        scored = score(session, RUN)
        validated >> scored
    else:
        planned = plan_score(session, RUN)
        parts = score_shard.partial(run_id=planned).expand(shard=list(range(shards)))
        scored = commit_score(planned)
        validated >> planned
        parts >> scored
    # An asset would do it for runs with a partition key alone: not for those by hand.
    watched = TriggerDagRunOperator(
        task_id="watch",
        trigger_dag_id="watch_forecasts",
        trigger_run_id="watch__{{ run_id }}",
        conf={"session": session},
        logical_date=None,
        run_after=None,
        skip_when_already_exists=True,
    )
    checked, published = check_future(session), publish(session)
    validated >> checked
    [scored, checked] >> published >> settle(session) >> watched


market_close()
