"""What the watcher outside Airflow can see of a home: its services, its disk, its newest forecasts."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from include.alerts.incidents import Incident
from include.errors import InputError
from include.files import write_atomically
from include.settings import Settings
from include.system.environment import airflow_database
from include.system.state import State, load_state, supervisor_of
from include.watchdog.database import find_database_problem
from include.watchdog.deadlines import Close, ask_closes, find_late
from include.watchdog.findings import Check, Findings, Sighting, judge_kinds
from include.watchdog.looks import memory_file
from include.watchdog.outside import SILENT, check_age, check_disk, check_silence
from include.watchdog.services import ask_services, check_services, list_services

SYSTEM = "system_down"

CLOSES_EVERY_S = 6 * 3600.0
CLOSES_AGAIN_S = 600.0
"""After a child that failed: each takes seconds of a processor."""

AGE_GRACE = timedelta(minutes=15)
"""The watchdog inside Airflow, which knows more, tells of missing forecasts first."""

SILENT_RUNS = 4
LEAST_SILENCE = timedelta(minutes=10)
"""`watch_system` has missed so many of its runs, and has been silent for so long, before that is told."""

START_GRACE_S = 120.0
"""Where no supervisor says when all is ready, services have so long to come up."""

SYSTEM_LOOKS = 2

SLEPT = timedelta(minutes=5)
"""No look takes so long: between two that lie further apart the machine slept, or its clock was set."""


class Outlook:
    """Reads and judges; remembers how often each service had been started again, and the calendar's closes.

    A process that stays gives a file as `memory`, so that who is started after its death goes on from there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        start_grace_s: float = START_GRACE_S,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        memory: Path | None = None,
    ) -> None:
        self._settings, self._start_grace_s, self._clock = settings, start_grace_s, clock
        self._begun = time.monotonic()
        self._begun_at = self._looked_at = clock()
        self._awake_since: datetime | None = None
        self._memory = memory
        self._instance, self._restarts = _recall_restarts(memory)
        self._closes: list[Close] = []
        self._closes_due = 0.0

    def describe_stage(self) -> str:
        """Say whether the system is well enough to be judged."""
        try:
            state = load_state(self._settings.run_dir)
        except InputError as error:
            return str(error)
        if state is None:
            return "well" if self._is_up_elsewhere() else "nothing runs on this home"
        if supervisor_of(state) is None:
            return "its supervisor has died"
        return "is being stopped" if state.stopping else "well" if state.ready else "is starting"

    def list_checks(self, known: frozenset[str]) -> dict[str, Check]:
        """Name what can be looked at now, and what is made of it; the disk alone while the system starts or stops.

        Parameters
        ----------
        known
            Keys of incidents that are open or were sighted.
        """
        self._notice_sleep()
        disk = {"disk": lambda: self._judge_disk(known)}
        try:
            state = load_state(self._settings.run_dir)
        except InputError as error:
            unread = str(error)
            return disk | {"system": lambda: _find_unread(unread)}
        if state is None:
            return disk | (self._list_running(None, known) if self._is_up_elsewhere() else {})
        if supervisor_of(state) is None:
            return disk | {"system": lambda: _find_death(state, known)}
        if not state.ready or state.stopping:
            return disk
        return disk | {"system": lambda: judge_kinds({SYSTEM}, [], known)} | self._list_running(state, known)

    def _notice_sleep(self) -> None:
        """Count a machine that slept as one that was started when it woke: what it missed has its time from then."""
        now = self._clock()
        if now - self._looked_at > SLEPT:
            self._awake_since = now
        self._looked_at = now

    def _is_up_elsewhere(self) -> bool:
        """Whether settings name an Airflow that had time to come up."""
        return self._settings.watch_airflow_url is not None and time.monotonic() - self._begun >= self._start_grace_s

    def _list_running(self, state: State | None, known: frozenset[str]) -> dict[str, Check]:
        started_at = datetime.fromisoformat(state.started_at) if state else self._begun_at
        since = max(started_at, self._awake_since or started_at)
        return {
            "services": lambda: self._judge_services(state, known),
            "age of forecasts": lambda: self._judge_age(since, known),
            "watch_system": lambda: self._judge_silence(since, known),
        }

    def _judge_disk(self, known: frozenset[str]) -> Findings:
        free = shutil.disk_usage(self._settings.home).free
        return check_disk(free, least_bytes=self._settings.disk_free_mb * 1_000_000, known_keys=known)

    def _judge_services(self, state: State | None, known: frozenset[str]) -> Findings:
        instance = state.instance if state else None
        before = self._restarts if instance == self._instance else {}
        services = list_services(self._settings, state)
        problem = find_database_problem(airflow_database(self._settings)) if state else None
        found = check_services(
            services, ask_services(services), before=before, database_problem=problem, known_keys=known
        )
        self._note_restarts(instance, {service.name: service.restarts for service in services})
        return found

    def _note_restarts(self, instance: str | None, restarts: dict[str, int]) -> None:
        """Keep how often each was started: a death that is mended while this process is dead itself is told too."""
        is_new = (instance, restarts) != (self._instance, self._restarts)
        self._instance, self._restarts = instance, restarts
        if is_new and self._memory is not None:
            with suppress(OSError):  # a full disk is told of, and ends no look
                write_atomically(self._memory, json.dumps({"instance": instance, "restarts": restarts}))

    def _judge_age(self, since: datetime, known: frozenset[str]) -> Findings:
        now, newest = self._clock(), find_newest_published(self._settings)
        if newest is None and self._settings.first_session is None:
            return check_age(None, None, known)  # nothing was ever promised
        if time.monotonic() >= self._closes_due:
            self._closes_due = time.monotonic() + CLOSES_AGAIN_S
            self._closes = ask_closes(self._settings, now)
            self._closes_due = time.monotonic() + CLOSES_EVERY_S
        limit = timedelta(seconds=self._settings.forecast_deadline_s) + AGE_GRACE
        last = self._settings.last_session
        closes = [each for each in self._closes if last is None or each.session <= last]
        late = find_late(closes, newest=newest, begun=self._settings.first_session, since=since, limit=limit, now=now)
        return check_age(late, newest, known)

    def _judge_silence(self, since: datetime, known: frozenset[str]) -> Findings:
        """Judge when `watch_system` last looked; Airflow that is down says why it did not."""
        if any(key.endswith("_down") or "_down/" in key for key in known):
            return Findings()
        looked_at = max(since, _read_age(self._settings) or since)
        limit = max(LEAST_SILENCE, SILENT_RUNS * timedelta(seconds=self._settings.watch_every_s))
        return check_silence(self._clock() - looked_at, limit=limit, known_keys=known)


def find_newest_published(settings: Settings) -> date | None:
    """Return the newest session whose forecasts are out, by the names of the published files."""
    found = []
    for path in settings.published.glob("*.csv"):
        with suppress(ValueError):
            found.append(date.fromisoformat(path.stem))
    return max(found, default=None)


def _recall_restarts(memory: Path | None) -> tuple[str | None, dict[str, int]]:
    """Read what an earlier process has seen; nothing where the file makes no sense."""
    try:
        found = json.loads(memory.read_text()) if memory else {}
        return found.get("instance"), {str(name): int(count) for name, count in found.get("restarts", {}).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None, {}


def _find_unread(problem: str) -> Findings:
    """Judge a state that cannot be read: nothing but the disk can be looked at."""
    incident = Incident(key=f"{SILENT}/state", kind=SILENT, summary="The system cannot be looked at", cause=problem)
    return Findings((Sighting(incident, SYSTEM_LOOKS),))


def _find_death(state: State, known: frozenset[str]) -> Findings:
    """Judge a system whose supervisor is gone and has not said goodbye: everything it ran is gone with it."""
    incident = Incident(
        key=f"{SYSTEM}/supervisor",
        kind=SYSTEM,
        summary="The system has died",
        cause=f"Its supervisor, process {state.supervisor_pid}, is gone; nobody stopped it.",
    )
    return judge_kinds({SYSTEM}, [Sighting(incident, SYSTEM_LOOKS)], known)


def _read_age(settings: Settings) -> datetime | None:
    try:
        return datetime.fromtimestamp(memory_file(settings).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
