"""
### predict_on_demand: forecasts for any session, symbols and version, or for an uploaded CSV

**What**: the same scoring as at the close, when asked: any session that has bars, all symbols or some, the model in
Production or a numbered version. Or an upload that the lake need not know: a CSV with the forecast of every row from
the rows before it (docs/answers.md); its path is the task's result.

**When**: by hand: the form, or `POST /api/v2/dags/predict_on_demand/dagRuns` with
`{"logical_date": null, "conf": {"session": "2018-06-01", "symbols": ["Bitcoin"]}}`, or with
`"conf": {"upload": "desk.csv"}` for a file in the folder `adhoc` of the inbox.

**Reads**: `bars`, or the file that is named; the registry.

**Writes**: `adhoc_predictions`, never mixed with the scheduled ones; for an upload, `answers` and the kept file.

**On failure**: two retries, none where the input breaks a rule, then a message to Slack.

**Settings**: none of its own.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from dags.common.child import run_child
from dags.common.defaults import BEGIN, DAG_CALLBACKS, DEFAULT_ARGS


@task
def predict(session, symbols, version, upload, asked_by):
    """Score what was asked for."""
    return run_child("include.tasks:predict", session, symbols, version, upload, asked_by)


@dag(
    schedule=None,
    start_date=BEGIN,
    default_args=DEFAULT_ARGS,
    **DAG_CALLBACKS,
    params={
        "session": Param(None, type=["null", "string"], format="date", title="Session", description="Newest if empty"),
        "symbols": Param(None, type=["null", "array"], title="Symbols", description="One a line; all if empty"),
        "version": Param(None, type=["null", "integer"], title="Version", description="Production if empty"),
        "upload": Param(
            None, type=["null", "string"], title="Upload", description="Name of a file in the inbox's folder adhoc"
        ),
    },
    render_template_as_native_obj=True,
    doc_md=__doc__,
    tags=["forecast"],
)
def predict_on_demand():
    """Score once."""
    asked = ["{{ params.session }}", "{{ params.symbols }}", "{{ params.version }}", "{{ params.upload }}"]
    predict(*asked, "{{ dag.dag_id }}/{{ run_id }}")


predict_on_demand()
