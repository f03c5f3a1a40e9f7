"""From an upload to its forecasts, through a running Airflow, beside a DAG of the same graph whose tasks do nothing.

seconds             from the moment the sensor has seen the upload to the end of publish (median of the sessions)
committed_seconds   the same, to the commit of the forecasts
empty_dag_seconds   the same graph and decorators with empty bodies, no child process, in the same run
ratio               seconds over empty_dag_seconds
The sensor's poll (at most a second) and the calendar's delay are apart.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.prepare import Prepared, prepare_home
from benchmarks.report import Goal, report
from include.console import Step, show_steps
from include.errors import UnavailableError
from include.lake.tables import PREDICTIONS, open_table
from include.settings import PROJECT_ROOT
from include.system.airflow_api import FINISHED, AirflowApi, connect_airflow
from include.system.control import start_detached, stop

GOALS = {"seconds": Goal(at_most=8.0), "ratio": Goal(at_most=3.0)}
TIMEOUT_S = 300.0

EMPTY_DAG = """
from airflow.sdk import Param, dag, task

from upload_sensor import UploadSensor

from dags.common.defaults import BEGIN, DEFAULT_ARGS


@task
def ingest(session):
    return session


@task
def validate(session):
    return session


@task
def score(session, asked_by):
    return session


@task
def check_future(session):
    return session


@task
def publish(session):
    return session


@task
def settle(session):
    return session


SESSION = Param(None, type=["null", "string"])


@dag(schedule=None, start_date=BEGIN, default_args=DEFAULT_ARGS, params={"session": SESSION})
def empty_close():
    session = "{{ partition_key or params.session or '' }}"
    arrived = UploadSensor(task_id="wait_for_upload", session=session)
    validated, published = validate(session), publish(session)
    arrived >> ingest(session) >> validated >> [score(session, "{{ run_id }}"), check_future(session)] >> published
    published >> settle(session)


empty_close()
"""


def chain_seconds(tasks: list[dict[str, Any]]) -> float:
    """Return the seconds from the end of the sensor to the end of publish."""
    ends = {task["task_id"]: datetime.fromisoformat(task["end_date"]) for task in tasks}
    return (ends["publish"] - ends["wait_for_upload"]).total_seconds()


def committed_seconds(prepared: Prepared, tasks: list[dict[str, Any]]) -> float:
    """Return the seconds from the end of the sensor to the newest commit of predictions."""
    (newest,) = open_table(prepared.settings.lake, PREDICTIONS).history(limit=1)
    seen = next(datetime.fromisoformat(task["end_date"]) for task in tasks if task["task_id"] == "wait_for_upload")
    return newest["timestamp"] / 1000 - seen.timestamp()


def await_run(api: AirflowApi, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Wait for a run to end; return its tasks."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        state = api.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        if state in FINISHED:
            if state == "failed":
                raise UnavailableError(f"{dag_id} must succeed", value=run_id, place=api.url)
            return api.tasks(dag_id, run_id)
        time.sleep(1.0)  # each look costs the server time that the run needs
    raise UnavailableError(f"{dag_id} must end in {TIMEOUT_S:.0f} s", value=run_id, place=api.url)


def run_chain(prepared: Prepared, api: AirflowApi, dag_id: str, upload: Path) -> list[dict[str, Any]]:
    """Start a run, let its upload land once the sensor waits, and return its tasks at the end."""
    inbox, session = prepared.settings.inbox, upload.stem
    inbox.mkdir(exist_ok=True)
    shutil.copyfile(upload, inbox / f".{upload.name}")
    run_id = api.trigger(dag_id, {"session": session})
    time.sleep(4.0)
    (inbox / f".{upload.name}").replace(inbox / upload.name)
    tasks = await_run(api, dag_id, run_id)
    (inbox / upload.name).unlink(missing_ok=True)  # the empty chain leaves it
    return tasks


def measure(prepared: Prepared, api: AirflowApi, line: Step) -> dict[str, list[float]]:
    """Let the sessions arrive one by one, first in the empty chain and then in ours, never both at once."""
    found: dict[str, list[float]] = {"seconds": [], "committed_seconds": [], "empty_dag_seconds": []}
    for number, upload in enumerate(prepared.replay.uploads):
        line.update(number, len(prepared.replay.uploads), upload.stem)
        found["empty_dag_seconds"].append(chain_seconds(run_chain(prepared, api, "empty_close", upload)))
        tasks = run_chain(prepared, api, "market_close", upload)
        found["seconds"].append(chain_seconds(tasks))
        found["committed_seconds"].append(committed_seconds(prepared, tasks))
    line.finish(f"{len(prepared.replay.uploads)} sessions")
    return found


def main() -> int:
    """Prepare a home, start the system on it, let sessions arrive, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.close", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument(
        "--live", type=int, default=4, help="uploads that arrive; the first warms up and is not counted"
    )
    parser.add_argument("--model", default="bigru")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, show_steps() as open_step:
        size = {"symbols": given.symbols, "sessions": given.sessions, "live": given.live}
        prepared = prepare_home(Path(folder) / "home", open_step, model=given.model, **size)
        dags = Path(folder) / "dags"
        dags.mkdir()
        shutil.copy(PROJECT_ROOT / "dags" / "market_close.py", dags)
        (dags / "empty_close.py").write_text(EMPTY_DAG)
        line = open_step("Start Airflow and MLflow")
        state = start_detached(prepared.settings, on_event=lambda event: line.say(event.component), dags_folder=dags)
        line.finish("all healthy")
        try:
            found = measure(prepared, connect_airflow(prepared.settings, state), open_step("Sessions arrive"))
        finally:
            stop(prepared.settings)
    measured = {name: statistics.median(values[1:] or values) for name, values in found.items()}
    measured["ratio"] = measured["seconds"] / measured["empty_dag_seconds"]
    return 0 if report("close", measured | {"symbols": given.symbols}, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
