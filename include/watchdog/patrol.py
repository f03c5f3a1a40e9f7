"""One look from inside Airflow, every few minutes: read the facts, judge them, tell what is due.

A fact that cannot be read hides no other: the rest is judged and told, and only then the look fails, so that its own
failure is an incident like any other DAG's. What was sighted and not yet told is remembered in a file between looks;
the file's age tells the watcher outside Airflow whether there are looks at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from include.alerts.overview import read_closed
from include.alerts.report import report_incident, report_recovery
from include.errors import UnavailableError
from include.settings import Settings
from include.system.airflow_api import AirflowApi, connect_airflow
from include.system.state import State, read_state
from include.watchdog import airflow_checks, airflow_facts, session_checks
from include.watchdog.findings import Check, Findings, run_checks
from include.watchdog.looks import recall_looks, remember_looks
from include.watchdog.session_facts import read_sessions
from include.watchdog.told import read_open_keys, read_told

FAILURES_SINCE = timedelta(hours=24)
"""Older failures are not looked for: a new installation over an old database would tell of all that ever failed."""


@dataclass(frozen=True)
class Patrol:
    """What a look told, and by name the facts that it could not read."""

    told: tuple[str, ...]
    recovered: tuple[str, ...]
    unread: dict[str, str]

    def summary(self) -> str:
        """Say it in a line."""
        lists = {"told": self.told, "recovered": self.recovered, "not read": tuple(self.unread)}
        return "; ".join(f"{name}: {', '.join(found) or 'nothing'}" for name, found in lists.items())


def watch_system(settings: Settings, now: datetime) -> Patrol:
    """Look once, and tell what is due.

    Parameters
    ----------
    settings
        Of the home whose system runs.
    now
        Aware.

    Raises
    ------
    UnavailableError
        No system runs on the home, or the store of incidents does not answer: nothing can be judged.
    """
    state = read_state(settings)
    if state is None:
        raise UnavailableError("the system must run to be looked at", place=str(settings.run_dir))
    looks, open_keys = recall_looks(settings), read_open_keys(settings)
    look = _Look(settings, state, now, looks.known_keys(open_keys), read_closed(settings) - open_keys)
    findings, unread = run_checks(look.list_checks())
    news = looks.take(findings, open_keys)
    for incident in news.incidents:
        report_incident(settings, incident)
    for key in news.recovered:
        report_recovery(settings, key)
    remember_looks(settings, looks)
    return Patrol(tuple(each.key for each in news.incidents), news.recovered, unread)


@dataclass(frozen=True)
class _Look:
    """What one look goes by; each method reads a fact and judges it."""

    settings: Settings
    state: State
    now: datetime
    known: frozenset[str]
    closed: frozenset[str]

    def list_checks(self) -> dict[str, Check]:
        return {
            "paused DAGs": self._judge_paused,
            "DAG files": self._judge_files,
            "unfinished runs": self._judge_unfinished,
            "failures": self._judge_failures,
            "recoveries": self._judge_recoveries,
            "sessions": self._judge_sessions,
        }

    @cached_property
    def _api(self) -> AirflowApi:
        return connect_airflow(self.settings, self.state)

    @cached_property
    def _told(self) -> Mapping[str, datetime]:
        return read_told(self.settings)

    def _judge_paused(self) -> Findings:
        return airflow_checks.check_paused(airflow_facts.read_dags(self._api), self.known)

    def _judge_files(self) -> Findings:
        return airflow_checks.check_broken(airflow_facts.read_parse_faults(self._api), self.known)

    def _judge_unfinished(self) -> Findings:
        return airflow_checks.check_stuck(
            airflow_facts.read_unfinished_runs(self._api),
            now=self.now,
            limit=timedelta(seconds=self.settings.stuck_after_s),
            known_keys=self.known,
            pages=self.settings.airflow_url,
        )

    def _judge_failures(self) -> Findings:
        since = self.now - FAILURES_SINCE
        return airflow_checks.check_untold(
            airflow_facts.read_failed_runs(self._api, since=since),
            airflow_facts.read_failed_tasks(self._api, since=since),
            now=self.now,
            told=self._told,
            closed=self.closed,
            pages=self.settings.airflow_url,
        )

    def _judge_recoveries(self) -> Findings:
        failed = [key.partition("/")[2] for key in self.known if key.startswith(f"{airflow_checks.FAILED}/")]
        newest_ends = {each: airflow_facts.read_newest_end(self._api, each) for each in failed}
        return airflow_checks.check_healed(newest_ends, told=self._told)

    def _judge_sessions(self) -> Findings:
        begun = datetime.fromisoformat(self.state.started_at)
        also = session_checks.list_known_sessions(self.known)
        facts = read_sessions(self.settings, self.now, since=begun, also=also)
        return session_checks.check_sessions(facts, now=self.now, known_keys=self.known, closed=self.closed)
