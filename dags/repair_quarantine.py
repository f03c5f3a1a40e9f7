"""
### repair_quarantine: refused rows come back, by hand

**What**: releases rows of quarantine against the rule that refused them, or ingests a corrected file in place of them;
then validates and scores again the sessions that this touches, and no other.

**When**: by hand, in the form: which upload, which rows, why. A release needs no file, a repair does.

**Reads**: `quarantine`, `uploads`, the corrected file.

**Writes**: `uploads` (who, when, why), `bars`, `quarantine`, `restatements`; `validations`, `predictions`, the
published files.

**On failure**: two retries, none where the input breaks a rule, then a message to Slack. What was released stays; a
session that fails its validation is not scored again, and its forecasts stay.

**Settings**: none of its own.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from dags.common.child import run_child
from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS
from dags.common.scoring import score_again


@task
def bring_back(params=None, dag_run=None):
    """Release or repair; return the sessions that are touched and have forecasts."""
    return run_child("include.tasks:bring_back", dict(params), dag_run.triggering_user_name, dag_run.run_id)


@dag(
    schedule=None,
    start_date=BEGIN,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    params={
        "action": Param("release", enum=["release", "repair"], title="Action"),
        "upload": Param(None, type=["null", "string"], title="Upload", description="SHA-256, or six digits of it"),
        "expectation": Param(
            None, type=["null", "string"], title="Rule", description="That refused them; all if empty"
        ),
        "symbols": Param(None, type=["null", "array"], title="Symbols", description="One a line; all if empty"),
        "rows": Param(None, type=["null", "array"], title="Row numbers", description="One a line; all if empty"),
        "file": Param(None, type=["null", "string"], title="Corrected file", description="For a repair: path or s3://"),
        "why": Param("", type="string", minLength=3, title="Why", description="For the record"),
    },
    doc_md=__doc__,
    tags=["data"],
)
def repair_quarantine():
    """Bring rows back, then score what they touch."""
    score_again.partial(asked_by="{{ dag.dag_id }}/{{ run_id }}").expand(session=bring_back())


repair_quarantine()
