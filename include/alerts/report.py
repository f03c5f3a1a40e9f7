"""How anything says that something is wrong, is well again, or is worth knowing: kept first, told by whoever is next.

A caller is a failed task, a watchdog, a scoring run: neither its failure nor its result may hang on this. So nothing is
raised, and no more than `CALLER_WAITS_S` is spent, whatever state the database and Slack are in: the work is done in a
thread, since neither a file system nor the search for an address knows a time limit. What the database does not take in
time is laid into a folder, from where the next drainer carries it on; where there is no room for that, it is sent
unkept.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from include.alerts.incidents import MOST_PARTS, Incident, Notice, Recovery, Report
from include.alerts.reserve import free_reserve
from include.alerts.spool import list_spooled, spool
from include.alerts.text import hide_secrets
from include.console import show_controls
from include.errors import ClosecastError
from include.settings import Settings

CALLER_WAITS_S = 1.9
"""Most that a failed task waits for being told of."""

KEEPING_S = 1.2
"""Of these, what the database has to take it."""

_MOST_CHARACTERS = 4000
"""Of a text that is kept."""

_MOST_PART_CHARACTERS = 400

log = logging.getLogger(__name__)

_Told = TypeVar("_Told", Incident, Notice)


def report_incident(settings: Settings, incident: Incident, *, is_complete: bool = False) -> str:
    """Keep an incident, and let whoever is next tell of it.

    Parameters
    ----------
    settings
        The home, its policy and its Slack.
    incident
        Under the key of one that is open it is counted into that.
    is_complete
        Nothing more will join it, as when a run is over: its message need not wait.

    Returns
    -------
    str
        Its id, which each message of it carries; empty where the database could not take it.
    """
    parts = tuple(hide_secrets(each[:_MOST_PART_CHARACTERS]) for each in incident.parts[:MOST_PARTS])
    return _report(settings, _tidy(replace(incident, parts=parts)), is_complete=is_complete)


def report_recovery(settings: Settings, key: str, *, note: str | None = None) -> bool:
    """End the open incident of a key; whether there was one. Its message says how long it took."""
    return bool(_report(settings, Recovery(show_controls(key), note and _shorten(note))))


def tell_notice(settings: Settings, notice: Notice) -> str:
    """Keep and tell something that is no failure, once by its key; return its id, as `report_incident`."""
    return _report(settings, _tidy(notice))


@dataclass
class _Try:
    """A report on its way, in a thread that outlives the caller's patience."""

    settings: Settings
    report: Report
    is_complete: bool
    ends: float
    id: str | None = None
    laid_down: Path | None = None
    is_decided: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Keep the report, then tell what waits where nobody else does."""
        try:
            is_mine_to_tell = self._keep()
        except Exception as error:  # noqa: BLE001  # the caller's own failure must still be told
            log.warning("an incident could not be kept: %s (%s)", self.report.key, error)
            return
        finally:
            self.is_decided.set()
        if self.laid_down is not None:
            self.laid_down.unlink(missing_ok=True)
        left = self.ends - time.monotonic()
        if is_mine_to_tell and left > 0:
            _drain(self.settings, left)

    def _keep(self) -> bool:
        try:
            return self._write()
        except ClosecastError:
            if not free_reserve(self.settings):
                raise
            return self._write()

    def _write(self) -> bool:
        # Here and not above: a failed task waits for what is imported there, and for a thread no longer than it likes.
        from include.alerts.lease import is_drained
        from include.alerts.outbox import has_due
        from include.alerts.record import record
        from include.alerts.store import open_store

        if isinstance(self.report, Recovery) and list_spooled(self.settings):
            _drain(self.settings, 0.0)  # what it ends may lie there, and would be open for ever
        now = time.time()
        with open_store(self.settings, self.report.key) as connection:
            found = record(connection, self.settings, self.report, now, is_complete=self.is_complete)
            waits = has_due(connection, now) or bool(list_spooled(self.settings))
            is_mine_to_tell = waits and not is_drained(connection, now)
        self.id = found
        return is_mine_to_tell


def _report(settings: Settings, report: Report, *, is_complete: bool = False) -> str:
    started = time.monotonic()
    work = _Try(settings, report, is_complete, started + CALLER_WAITS_S)
    thread = threading.Thread(target=work.run, name="alerts", daemon=True)
    thread.start()
    work.is_decided.wait(KEEPING_S)
    if work.id is None:
        _lay_down(work)
    else:
        thread.join(max(0.0, work.ends - time.monotonic()))
    return work.id or ""


def _lay_down(work: _Try) -> None:
    """Leave a report to the next drainer, unless the database takes it at the last moment."""
    try:
        work.laid_down = spool(work.settings, work.report)
    except OSError as error:
        log.error("an incident could not be laid down and is sent unkept (%s): %s", error, work.report.key)  # noqa: TRY400
        last = threading.Thread(target=_send_unkept, args=(work.settings, work.report), name="alerts", daemon=True)
        last.start()
        last.join(max(0.0, work.ends - time.monotonic()))
    else:
        if work.id is not None:
            work.laid_down.unlink(missing_ok=True)


def _drain(settings: Settings, deadline_s: float) -> None:
    from include.alerts.deliver import deliver

    try:
        deliver(settings, deadline_s=deadline_s)
    except Exception as error:  # noqa: BLE001  # what waits is kept, and told by the next
        log.warning("messages wait: %s", error)


def _send_unkept(settings: Settings, report: Report) -> None:
    from include.alerts.tell import send_unkept

    try:
        if not isinstance(report, Recovery):
            send_unkept(settings, report)
    except Exception:
        log.exception("an incident could not be sent either: %s", report.key)


def _tidy(told: _Told) -> _Told:
    """Take secrets out before anything is written, and what no message has room for."""
    key = show_controls(told.key)  # not every database takes every character in a column
    return replace(told, key=key, summary=_shorten(told.summary), cause=_shorten(told.cause))


def _shorten(text: str) -> str:
    """Keep the end of a text without its secrets; of what is cut off, enough is read to know a secret by its name."""
    return hide_secrets(text[-4 * _MOST_CHARACTERS :])[-_MOST_CHARACTERS:]
