"""The watcher outside Airflow: a small process that looks every few seconds, tells what is wrong, drains the outbox.

It holds neither pandas nor Airflow (a test says so), since it lives as long as the system does. It judges nothing while
the system starts and while it is being stopped. A fact that cannot be read hides no other.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from include.alerts.deliver import deliver
from include.alerts.incidents import Incident
from include.alerts.report import report_incident, report_recovery
from include.errors import ClosecastError, UnavailableError
from include.settings import Settings
from include.system.state import heartbeat_file, prepare_home
from include.watchdog.findings import run_checks
from include.watchdog.looks import Looks
from include.watchdog.outlook import Outlook
from include.watchdog.ping import Ping
from include.watchdog.told import read_open_keys, read_trouble

WELL_LOOKS = 3
"""A service that came back is told of once it has been well in so many looks on end."""

DELIVER_S = 3.0
"""For telling, after each look: no stop has to wait for longer."""

REPEAT_S = 600.0
"""What goes on is reported again after so long: a look every few seconds is no count of anything."""

log = logging.getLogger(__name__)


class Watcher:
    """Looks, tells, and pings until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outlook = Outlook(settings, memory=settings.run_dir / "watcher.json")
        self._looks = Looks(wells=WELL_LOOKS)
        self._open_keys: frozenset[str] = frozenset()
        self._reported: dict[str, float] = {}
        self._complaints: dict[str, str] = {}
        secret = settings.ping_url
        self._ping = Ping(secret.get_secret_value(), settings.ping_every_s) if secret else None

    def run(self, stop: threading.Event) -> None:
        """Look every few seconds until `stop` is set."""
        steps = {"incidents": self._read_open_keys, "looks": self._look, "outbox": self._deliver}
        while not stop.is_set():
            began = time.monotonic()
            complaints: dict[str, str] = {}
            for name, step in steps.items():
                complaints |= _try(name, step)
            if self._ping is not None and not complaints and (problem := self._ping.call_if_due()):
                complaints["ping"] = problem
            self._log_changes(complaints)
            with suppress(OSError):  # a full disk is told of above, and ends no watch
                heartbeat_file(self._settings.run_dir).touch()
            stop.wait(max(0.0, self._settings.watch_look_s - (time.monotonic() - began)))

    def _read_open_keys(self) -> dict[str, str]:
        """Ask the store which incidents are open; what it said last counts on while it does not answer."""
        self._open_keys = read_open_keys(self._settings)
        return {}

    def _look(self) -> dict[str, str]:
        """Look once and report what is due; give by name why a fact could not be read."""
        findings, unread = run_checks(self._outlook.list_checks(self._looks.known_keys(self._open_keys)))
        news = self._looks.take(findings, self._open_keys)
        for incident in news.incidents:
            self._report(incident)
        for key in news.recovered:
            report_recovery(self._settings, key)
        return unread

    def _report(self, incident: Incident) -> None:
        reported_at = self._reported.get(incident.key)
        if incident.key in self._open_keys and reported_at and time.monotonic() - reported_at < REPEAT_S:
            return
        self._reported[incident.key] = time.monotonic()
        report_incident(self._settings, incident)

    def _deliver(self) -> dict[str, str]:
        """Tell what waits; say where Slack does not take it."""
        deliver(self._settings, deadline_s=DELIVER_S, is_resident=True)
        trouble = read_trouble(self._settings, datetime.now(UTC))
        return {"slack": trouble} if trouble else {}

    def _log_changes(self, complaints: dict[str, str]) -> None:
        """Write what is new to the log: the same every five seconds would fill it."""
        for name, said in complaints.items():
            if self._complaints.get(name) != said:
                log.warning("%s: %s", name, said)
        for name in self._complaints.keys() - complaints.keys():
            log.warning("%s: well again", name)
        self._complaints = complaints


def _try(name: str, step: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Do a step of a round; whatever it fails of is a complaint under its name, and ends no watch."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001  the next step, and the next round, must come
        return {name: f"{type(error).__name__}: {error}"}


def run_watcher(settings: Settings) -> None:
    """Watch a home until SIGINT or SIGTERM.

    Raises
    ------
    InputError
        The home cannot be written.
    UnavailableError
        Another watcher is at it.
    """
    prepare_home(settings)
    with _hold_lock(settings.run_dir), _stop_on_signals() as stop:
        Watcher(settings).run(stop)


@contextmanager
def _hold_lock(run_dir: Path) -> Iterator[None]:
    lock = FileLock(run_dir / "watcher.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UnavailableError(
            "one watcher runs on a home, and this one has one already", place=str(run_dir)
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    yield stop


def main() -> int:
    """Watch by the settings in the environment."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    try:
        run_watcher(Settings(_env_file=None))
    except ClosecastError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
