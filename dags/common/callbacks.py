"""What a task, and then its run, report when they fail, and a run when it is well: one incident a DAG.

A task that was killed calls nothing back, but its run does, in the DAG processor: nothing heavy is imported here.
Both report under the same key, so that a death is told once, whoever tells of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from include.alerts.incidents import Incident
    from include.settings import Settings

BLOCKED = "BlockedError: "
"""How `run_child` names a session that a gate refused."""

SEVERITIES = {"market_close": "critical", "predict_on_demand": "warning"}
"""Of a failed run: no forecasts, or one person who waits for an answer; all others are errors."""

SESSION = ", session "
"""Between a failed task and its session."""

MOST_NAMED = 10
"""Sessions that a recovery names."""

log = logging.getLogger(__name__)


def report_task_failure(context: Context) -> None:
    """Report a task that has used its last try."""
    _try(lambda: _report(context, is_run=False))


def report_run_failure(context: Context) -> None:
    """Report a run that is over and failed: the tasks that were killed had no chance to."""
    _try(lambda: _report(context, is_run=True))


def report_run_success(context: Context) -> None:
    """Report that a DAG works: what was wrong with it is over."""
    _try(lambda: _recover(context))


def report_late_run(context: dict[str, Any]) -> None:
    """Report a session whose deadline has passed while its run goes on; Airflow's deadline alert calls it."""
    _try(lambda: _report_late(context["dag_run"]))


def _try(report: Callable[[], None]) -> None:
    """Do without a report rather than hide the failure that it is about."""
    try:
        report()
    except Exception:
        log.exception("the failure could not be reported")


def _report(context: Context, *, is_run: bool) -> None:
    from include.alerts.report import report_incident
    from include.settings import load_settings

    settings = load_settings()
    report_incident(settings, _describe_failure(settings, context, is_run=is_run), is_complete=is_run)


def _report_late(run: dict[str, Any]) -> None:
    from include.alerts.links import link_run
    from include.monitoring.late import report_late
    from include.settings import load_settings

    session = _read_date(run.get("partition_key") or (run.get("conf") or {}).get("session"))
    if session is not None and run.get("state") != "failed":  # that one has been told
        settings = load_settings()
        report_late(settings, session, run=link_run(settings.airflow_url, run["dag_id"], run["dag_run_id"]))


def _recover(context: Context) -> None:
    from include.alerts.report import report_recovery
    from include.settings import load_settings

    settings, dag_id, session = load_settings(), context["dag"].dag_id, _find_session(context)
    if dag_id == "market_close" and session and not (settings.published / f"{session}.csv").is_file():
        log.warning("session %s: a run whose tasks were skipped ends well, and mends nothing", session)
        return
    note = f"The run of session {session} succeeded." if session else f"{context['run_id']} succeeded."
    for kind in ("run_failed", "gate_refused_session") if dag_id == "market_close" else ("run_failed",):
        key = f"{kind}/{dag_id}"
        report_recovery(settings, key, note=note + _name_left(settings, key, session))
    if dag_id == "market_close":
        report_recovery(settings, f"upload_missing/{session}", note=note)
        report_recovery(settings, f"forecasts_missing/{session}", note=note)


def _name_left(settings: Settings, key: str, session: str | None) -> str:
    """Say that other sessions failed too, which nobody may have made good."""
    from include.alerts.overview import find_open_now

    failed = find_open_now(settings, key)
    if failed is None:
        return ""
    named = {failed.affected.session, *(_read_date(part.partition(SESSION)[2]) for part in failed.parts)}
    left = sorted(str(each) for each in named - {None, _read_date(session)})
    if len(left) < 2:
        return f" Session {left[0]}, which failed, has to be run again if it was not." if left else ""
    said = ", ".join(left[:MOST_NAMED]) + (f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else "")
    return f" Sessions {said}, which failed, have to be run again if they were not."


def _describe_failure(settings: Settings, context: Context, *, is_run: bool) -> Incident:
    from include.alerts.incidents import Affected, Incident, Links, Severity
    from include.alerts.links import link_run

    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    session, task = _find_session(context), context.get("ti")
    cause = _name_cause(task, context.get("exception"))
    kind = "gate_refused_session" if BLOCKED in cause else "run_failed"
    run = link_run(settings.airflow_url, dag_id, run_id)
    pages = (settings.airflow_url or "").rstrip("/")
    return Incident(
        f"{kind}/{dag_id}",
        kind,
        f"{dag_id} failed" + (f", session {session}" if session else ""),
        cause,
        severity=Severity(SEVERITIES.get(dag_id, "error")),
        affected=Affected(
            session=_read_date(session),
            published=False if dag_id == "market_close" else None,
        ),
        parts=(_name_task(task, session),) if task is not None else (),
        links=Links(
            run=run,
            log=_link_log(run, task),
            data_docs=f"{pages}/data-docs/session/{session}" if kind == "gate_refused_session" and pages else None,
        ),
    )


def _name_cause(task: Any, error: object) -> str:
    """Say which task raised what; that an error passed through Airflow tells nobody anything."""
    if error is None:
        return ""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  # an error that cannot say what it is must still be told
        said = "it cannot say what is wrong"
    named = "" if name in ("AirflowFailException", "ClosecastError") else f"{name}: "
    return f"{task.task_id}: {named}{said}" if task is not None else f"{named}{said}"


def _find_session(context: Context) -> str | None:
    params = context.get("params") or {}
    return context.get("partition_key") or params.get("session") or None


def _read_date(session: str | None) -> date | None:
    try:
        return date.fromisoformat(session) if session else None
    except (
        ValueError,
        TypeError,
    ):  # whoever started the run by hand wrote something else: perhaps that is why it failed
        return None


def _name_task(task: Any, session: str | None) -> str:
    mapped = f"[{task.map_index}]" if (task.map_index if task.map_index is not None else -1) >= 0 else ""
    return f"{task.task_id}{mapped}" + (f"{SESSION}{session}" if session else "")


def _link_log(run: str | None, task: Any) -> str | None:
    if run is None or task is None:
        return None
    mapped = f"/mapped/{task.map_index}" if (task.map_index if task.map_index is not None else -1) >= 0 else ""
    return f"{run}/tasks/{task.task_id}{mapped}?try_number={task.try_number}"
