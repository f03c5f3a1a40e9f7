"""How Airflow stands, asked of its REST interface as the system's own user.

The interface and not the metadata database: it keeps its form from release to release, where the database's tables are
Airflow's own business, and it is there whenever this runs, since a task needs the API server to run at all. For an API
server that is dead there is `include.watchdog.watcher`, which asks for no more than heartbeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.system.airflow_api import AirflowApi, NotThereError

ALL = "~"
"""In a path: of every DAG, of every run."""


@dataclass(frozen=True)
class DagFacts:
    """A DAG that Airflow knows."""

    dag_id: str
    is_paused: bool


@dataclass(frozen=True)
class ParseFault:
    """A file that Airflow cannot make DAGs of, or a DAG that it warns of; `file` is of a warning its DAG."""

    file: str
    said: str


@dataclass(frozen=True)
class TaskFacts:
    """A try of a task; moments in UTC, `moved_at` the newest of when it was scheduled, queued, begun and ended."""

    dag_id: str
    run_id: str
    task_id: str
    state: str | None
    moved_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class RunFacts:
    """A run; `moved_at` is when it or a task of it last moved, `is_waiting` whether a task waits in the triggerer."""

    dag_id: str
    run_id: str
    state: str
    session: str | None
    moved_at: datetime | None
    ended_at: datetime | None
    is_waiting: bool = False


def read_dags(api: AirflowApi) -> list[DagFacts]:
    """List the DAGs that have a file."""
    found = api.pages("dags", "dags", exclude_stale=True)
    return [DagFacts(each["dag_id"], each["is_paused"]) for each in found]


def read_parse_faults(api: AirflowApi) -> list[ParseFault]:
    """List what does not parse, and what Airflow warns of."""
    errors = api.pages("importErrors", "import_errors")
    faults = [ParseFault(each["filename"], each["stack_trace"]) for each in errors]
    warnings = api.pages("dagWarnings", "dag_warnings")
    return faults + [ParseFault(each["dag_id"], each["message"]) for each in warnings]


def read_unfinished_runs(api: AirflowApi) -> list[RunFacts]:
    """List the runs that are queued or running, each with when something of it last moved."""
    return [
        _follow(api, run) if run.state == "running" else run
        for run in _read_runs(api, ALL, state=["queued", "running"], order_by="id")
    ]


def read_failed_runs(api: AirflowApi, *, since: datetime) -> list[RunFacts]:
    """List the runs that have failed since a moment, oldest first."""
    return _read_runs(api, ALL, state="failed", end_date_gte=since.isoformat(), order_by="end_date")


def read_failed_tasks(api: AirflowApi, *, since: datetime) -> list[TaskFacts]:
    """List the tasks that have failed since a moment, oldest first; those whose turn never came are not among them."""
    path = f"dags/{ALL}/dagRuns/{ALL}/taskInstances"
    found = api.pages(path, "task_instances", state="failed", end_date_gte=since.isoformat(), order_by="end_date")
    return [_read_task(each) for each in found]


def read_newest_end(api: AirflowApi, dag_id: str) -> RunFacts | None:
    """Give the run of a DAG that ended last; none of a DAG that was deleted, or is not read yet."""
    path = f"dags/{dag_id}/dagRuns"
    try:
        found = api.get(path, state=["success", "failed"], order_by="-end_date", limit=1)["dag_runs"]
    except NotThereError:
        return None
    return _read_run(found[0]) if found else None


def _read_runs(api: AirflowApi, dag_id: str, **query: Any) -> list[RunFacts]:
    return [_read_run(each) for each in api.pages(f"dags/{dag_id}/dagRuns", "dag_runs", **query)]


def _follow(api: AirflowApi, run: RunFacts) -> RunFacts:
    """Look at a running run's tasks: when the newest began or ended, and whether one waits in the triggerer."""
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
    tasks = [_read_task(each) for each in api.pages(path, "task_instances")]
    moved = [at for at in (run.moved_at, *(task.moved_at for task in tasks)) if at is not None]
    is_waiting = any(task.state == "deferred" for task in tasks)
    return RunFacts(
        run.dag_id, run.run_id, run.state, run.session, max(moved, default=None), run.ended_at, is_waiting=is_waiting
    )


def _read_run(raw: dict[str, Any]) -> RunFacts:
    session = raw.get("partition_key") or (raw.get("conf") or {}).get("session")
    moved = _moment(raw["start_date"]) or _moment(raw["queued_at"])
    return RunFacts(raw["dag_id"], raw["dag_run_id"], raw["state"], session, moved, _moment(raw["end_date"]))


def _read_task(raw: dict[str, Any]) -> TaskFacts:
    moments = (_moment(raw[name]) for name in ("scheduled_when", "queued_when", "start_date", "end_date"))
    moved = max((at for at in moments if at is not None), default=None)
    return TaskFacts(raw["dag_id"], raw["dag_run_id"], raw["task_id"], raw["state"], moved, _moment(raw["end_date"]))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
