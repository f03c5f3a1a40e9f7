"""
### rollback_model: an earlier version back into Production

**What**: puts the version that served before, or the one that is named, back into Production, stage and alias alike;
the next scoring run uses it. If asked, validates, scores and publishes the newest session again at once.

**When**: by hand: the form, or `POST /api/v2/dags/rollback_model/dagRuns` with
`{"logical_date": null, "conf": {"why": "errors doubled on Monday", "rescore": true}}`.

**Reads**: the registry; `promotions`; to score again, `bars`.

**Writes**: the registry; `promotions` (who, when, from, to, why); to score again, `validations`, `predictions`, the
published files.

**On failure**: two retries, none where the input breaks a rule, then a message to Slack. A rollback that is done stays
done, and a retry goes back no further; a session that fails its validation keeps its forecasts.

**Settings**: `CLOSECAST_MODEL_NAME`.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from dags.common.child import run_child
from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS
from dags.common.scoring import score_again


@task
def roll_back(params=None, dag_run=None):
    """Change what serves; return the sessions to score again."""
    return run_child("include.tasks:roll_back", dict(params), dag_run.triggering_user_name, dag_run.run_id)


@dag(
    schedule=None,
    start_date=BEGIN,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    params={
        "version": Param(
            None, type=["null", "integer"], title="Version", description="The one that served before if empty"
        ),
        "why": Param("", type="string", minLength=3, title="Why", description="For the record"),
        "rescore": Param(False, type="boolean", title="Score again", description="The newest session, at once"),
    },
    doc_md=__doc__,
    tags=["model"],
)
def rollback_model():
    """Roll back, then score what was asked for."""
    score_again.partial(asked_by="{{ dag.dag_id }}/{{ run_id }}").expand(session=roll_back())


rollback_model()
