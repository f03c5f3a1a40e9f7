"""
### watch_forecasts: realised skill, coverage and drift, after every session

**What**: judges the newest settled session by how its signals moved before: error beside the last close's, correlation,
coverage of the intervals, drift of outputs and inputs. Several sessions beyond a limit begin an episode, of which Slack
is told once, and once when it ends. Then it writes the session's page. Where a setting says so, an episode that begins
starts `retrain_weekly`.

**When**: started by `market_close` behind its last task, so for scheduled, backfilled and manual runs alike; by hand.

**Reads**: `outcomes`, `bars`, `validations`, `quarantine`, `restatements`; the drift reference of the model in
Production.

**Writes**: `monitoring/breaches.json` and `reports/SESSION.html` in the home.

**On failure**: two retries, then a message to Slack; forecasts go on without it.

**Settings**: `CLOSECAST_RETRAIN_ON_BREACH`, `CLOSECAST_SLACK_WEBHOOK_URL`.
"""

from __future__ import annotations

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, task
from session_report_link import SessionReportLink

from dags.common.child import run_child
from dags.common.defaults import DAG_CALLBACKS, DEFAULT_ARGS


@task
def watch():
    """Judge, keep what began and ended, tell of it."""
    return run_child("include.tasks:watch_forecasts")


@task
def report(session):
    """Write the session's page."""
    return run_child("include.tasks:report_session", session)


@task.short_circuit
def wants_retrain(watched):
    """Go on to a retrain where something began and the setting says so."""
    return run_child("include.tasks:wants_retrain", watched)


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    params={"session": Param(None, type=["null", "string"], format="date", title="Session", description="YYYY-MM-DD")},
    doc_md=__doc__,
    tags=["forecast"],
)
def watch_forecasts():
    """Chain the watch."""
    watched = watch()
    reported = report("{{ params.session or '' }}")
    reported.operator.operator_extra_links = (SessionReportLink(),)
    watched >> reported
    retrain = TriggerDagRunOperator(
        task_id="retrain",
        trigger_dag_id="retrain_weekly",
        trigger_run_id="breach__{{ run_id }}",
        logical_date=None,
        run_after=None,
        skip_when_already_exists=True,
    )
    wants_retrain(watched) >> retrain


watch_forecasts()
