"""Whether Airflow does what it should: DAGs paused or broken, runs stuck, failures nobody was told of, and healed ones.

Pure: facts in, findings out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import PurePath

from include.alerts.incidents import Affected, Incident, Links, Severity
from include.alerts.links import link_run
from include.watchdog.airflow_facts import DagFacts, ParseFault, RunFacts, TaskFacts
from include.watchdog.findings import Findings, Sighting, judge_kinds
from include.watchdog.session_checks import MISSING_UPLOAD

CLOSE, WAIT = "market_close", "wait_for_upload"
PAUSED, BROKEN, STUCK, FAILED = "dag_paused", "dag_broken", "run_stuck", "run_failed"

LOOKS = 2
"""Somebody who pauses a DAG for a minute, or saves half a file, is no news."""

CALLBACK_TIME = timedelta(seconds=60)
"""A callback of Airflow's has so long to tell of a failure before it counts as untold."""


def check_paused(dags: Iterable[DagFacts], known_keys: Collection[str]) -> Findings:
    """Find DAGs that are paused: nothing here is paused when it is new, so somebody did it."""
    incidents = [
        Incident(
            key=f"{PAUSED}/{dag.dag_id}",
            kind=PAUSED,
            summary=f"{dag.dag_id} is paused",
            cause="Somebody paused it; no run of it begins until it is unpaused.",
        )
        for dag in dags
        if dag.is_paused
    ]
    return judge_kinds({PAUSED}, [Sighting(each, LOOKS) for each in incidents], known_keys)


def check_broken(faults: Iterable[ParseFault], known_keys: Collection[str]) -> Findings:
    """Find files that do not parse, and DAGs that Airflow warns of; several faults of one are one."""
    by_name: dict[str, list[str]] = {}
    for fault in faults:
        by_name.setdefault(PurePath(fault.file).name, []).append(_last_line(fault.said))
    incidents = [
        Incident(
            key=f"{BROKEN}/{name}",
            kind=BROKEN,
            summary=f"{name} does not parse",
            cause="; ".join(said),
        )
        for name, said in sorted(by_name.items())
    ]
    return judge_kinds({BROKEN}, [Sighting(each, LOOKS) for each in incidents], known_keys)


def check_stuck(
    runs: Sequence[RunFacts], *, now: datetime, limit: timedelta, known_keys: Collection[str], pages: str | None = None
) -> Findings:
    """Find runs in which nothing has moved for longer than a limit.

    A run that waits in the triggerer (for an upload) is not stuck, nor is one that is queued behind another of its DAG.
    `pages` is Airflow's address as people reach it.
    """
    busy = {run.dag_id for run in runs if run.state == "running"}
    stuck: dict[str, list[RunFacts]] = {}
    for run in runs:
        is_held = run.is_waiting or (run.state == "queued" and run.dag_id in busy)
        if not is_held and run.moved_at is not None and now - run.moved_at > limit:
            stuck.setdefault(run.dag_id, []).append(run)
    incidents = [_describe_stuck(dag_id, found, now, pages) for dag_id, found in sorted(stuck.items())]
    return judge_kinds({STUCK}, [Sighting(each) for each in incidents], known_keys)


def _describe_stuck(dag_id: str, runs: Sequence[RunFacts], now: datetime, pages: str | None) -> Incident:
    oldest = min(runs, key=lambda run: run.moved_at or now)
    still = now - (oldest.moved_at or now)
    return Incident(
        key=f"{STUCK}/{dag_id}",
        kind=STUCK,
        summary=f"{dag_id} is {oldest.state}, and nothing of it has moved for {_minutes(still)}",
        cause="No task of it was scheduled, began or ended in that time, and none waits for an upload.",
        affected=Affected(session=_read_session(oldest.session)),
        parts=tuple(run.run_id for run in runs),
        links=Links(run=link_run(pages, dag_id, oldest.run_id)),
    )


def check_untold(
    runs: Iterable[RunFacts],
    tasks: Iterable[TaskFacts],
    *,
    now: datetime,
    told: Mapping[str, datetime],
    closed: Collection[str] = (),
    pages: str | None = None,
) -> Findings:
    """Find failures that no callback has told of.

    Parameters
    ----------
    runs, tasks
        What has failed lately.
    now
        Aware.
    told
        By DAG: when people were last told that it failed. It covers what failed until then.
    closed
        Keys that a person has closed. Where it is that of a session's upload, its run failed since it waited for it.
    pages
        Airflow's address as people reach it.
    """
    untold: dict[str, list[RunFacts | TaskFacts]] = {}
    runs, tasks = list(runs), list(tasks)
    for each in _leave_out_waits(runs, tasks, closed):
        if each.ended_at is None or now - each.ended_at < CALLBACK_TIME:
            continue
        if each.dag_id not in told or told[each.dag_id] < each.ended_at:
            untold.setdefault(each.dag_id, []).append(each)
    return Findings(tuple(Sighting(_describe_untold(dag_id, found, pages)) for dag_id, found in sorted(untold.items())))


def _leave_out_waits(
    runs: Sequence[RunFacts], tasks: Sequence[TaskFacts], closed: Collection[str]
) -> list[RunFacts | TaskFacts]:
    """Leave out what failed by waiting for an upload that, as a person has said, will not come."""
    idle = {(each.dag_id, each.run_id) for each in runs if f"{MISSING_UPLOAD}/{each.session}" in closed}
    idle -= {(each.dag_id, each.run_id) for each in tasks if each.task_id != WAIT}
    failed: list[RunFacts | TaskFacts] = [*tasks, *runs]
    return [each for each in failed if (each.dag_id, each.run_id) not in idle]


def _describe_untold(dag_id: str, failed: Sequence[RunFacts | TaskFacts], pages: str | None) -> Incident:
    runs = {each.run_id for each in failed}
    sessions = [each.session for each in failed if isinstance(each, RunFacts)]
    return Incident(
        key=f"{FAILED}/{dag_id}",
        kind=FAILED,
        summary=f"{dag_id} failed" + (f" in {len(runs)} runs" if len(runs) > 1 else ""),
        severity=Severity.CRITICAL if dag_id == CLOSE else None,
        affected=Affected(session=_read_session(sessions[-1] if sessions else None)),
        parts=tuple(dict.fromkeys(each.task_id for each in failed if isinstance(each, TaskFacts))),
        links=Links(run=link_run(pages, dag_id, failed[-1].run_id)),
    )


def check_healed(newest_ends: Mapping[str, RunFacts | None], *, told: Mapping[str, datetime]) -> Findings:
    """Heal open failures of DAGs whose newest run succeeded, where the run's own callback has not.

    Parameters
    ----------
    newest_ends
        By the DAG of each open incident: the run of it that ended last. While a failed run is taken up again, that is
        one from before the failure, which heals nothing.
    told
        By DAG: when its failure was last reported.
    """
    succeeded = [
        dag_id
        for dag_id, run in newest_ends.items()
        if run and run.state == "success" and run.ended_at and dag_id in told and run.ended_at > told[dag_id]
    ]
    return Findings(healed=frozenset(f"{FAILED}/{dag_id}" for dag_id in succeeded))


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "Airflow gives no reason"


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:,.0f} minutes"


def _read_session(session: str | None) -> date | None:
    try:
        return date.fromisoformat(session or "")
    except ValueError:
        return None
