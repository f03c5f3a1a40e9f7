"""The watch over realised forecasts after a session: measure, judge, keep the episodes, tell of each once.

Episodes are kept before they are reported, and marked as told after it: a try after one that died reports what was not,
and what is reported again joins its open incident.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from include.alerts.incidents import Affected, Incident, Links
from include.alerts.kinds import KINDS
from include.alerts.report import report_incident, report_recovery
from include.errors import InputError
from include.files import write_atomically
from include.lake.bars import open_bars, read_cube
from include.lake.files import list_sessions
from include.monitoring.breaches import JUDGED_SESSIONS, WATCHED_SESSIONS, Breach, Judgement, Verdict, judge_signals
from include.monitoring.messages import describe_began, describe_ended
from include.monitoring.signals import COLUMNS, Signals, add_inputs, measure_signals
from include.monitoring.skill import read_outcomes, settled_sessions
from include.quality.drift import DriftReference
from include.quality.drift_columns import BACK_SESSIONS
from include.quality.reference import find_reference
from include.settings import Settings

_KEPT_BREACHES = 1000
_DATES = ("began", "since", "ended")
_KINDS = {
    "skill": "skill_breach",
    "correlation": "skill_breach",
    "coverage": "coverage_breach",
    "outputs": "drift",
    "inputs": "drift",
}
"""The kind of incident, by the first word of a signal's name."""


@dataclass(frozen=True)
class WatchReport:
    """What a watch found.

    Attributes
    ----------
    session
        The newest that was judged; None where no forecast has come true yet.
    verdicts
        One a signal.
    open
        Episodes that are open after it.
    began, ended
        Those that began or ended by it.
    inputs
        Why the inputs were not judged, or empty.
    """

    session: date | None
    verdicts: list[Verdict]
    open: list[Breach]
    began: list[Breach]
    ended: list[Breach]
    inputs: str

    def summary(self) -> str:
        """Return one line for people."""
        if self.session is None:
            return "no forecast has come true yet"
        said = ", ".join(each.signal for each in self.open) or "none"
        unjudged = sum(each.limit is None for each in self.verdicts)
        waits = f"; not judged yet: {unjudged}" if unjudged else ""
        return f"{self.session}: {len(self.verdicts)} signals, in breach: {said}{waits}"


def watch_forecasts(settings: Settings) -> WatchReport:
    """Judge the newest settled session, keep what began and ended, and send one message of it.

    Again for the same session it changes nothing, and sends what has not been sent.
    """
    sessions = settled_sessions(settings)[-WATCHED_SESSIONS:]
    if not sessions:
        return WatchReport(None, [], [], [], [], "")
    reference = find_reference(settings)
    signals = read_signals(settings, sessions, reference)
    settings.monitoring.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.monitoring / ".breaches.lock"):
        judgement = judge_signals(signals, read_breaches(settings))
        write_breaches(settings, judgement.breaches)
        kept = _tell(settings, judgement)
        write_breaches(settings, kept)
    # By session, and not by what this call found: a try after one that died must answer the same.
    began, ended = ([each for each in kept if getattr(each, name) == sessions[-1]] for name in ("began", "ended"))
    still_open = [each for each in kept if each.ended is None]
    why = reference if isinstance(reference, str) else ""
    return WatchReport(sessions[-1], judgement.verdicts, still_open, began, ended, why)


def read_signals(
    settings: Settings, sessions: Sequence[date], reference: DriftReference | str, *, newest: int = JUDGED_SESSIONS
) -> Signals:
    """Measure the signals of some settled sessions, oldest first; the inputs of the `newest` alone."""
    rows = read_outcomes(settings, sessions, COLUMNS)
    signals = measure_signals(rows, sessions, recent=JUDGED_SESSIONS)
    if isinstance(reference, str):
        return signals
    bars = open_bars(settings.lake)
    oldest = sessions[-newest:][0]
    present = [day for day in list_sessions(bars) if day <= sessions[-1]]
    held = present[max(0, bisect_left(present, oldest) - BACK_SESSIONS) :]
    return add_inputs(signals, reference, read_cube(bars, held).values, held, newest)


def _tell(settings: Settings, judgement: Judgement) -> list[Breach]:
    """Report what has not been told, an incident a kind; return the episodes with what has been."""
    untold = [each for each in judgement.breaches if not (each.ended_told if each.ended else each.began_told)]
    for kind in sorted({find_kind(each.signal) for each in untold}):
        mine = [each for each in judgement.breaches if find_kind(each.signal) == kind]
        opened = [each for each in mine if each.ended is None]
        if not opened:
            report_recovery(settings, f"{kind}/forecasts", note=" ".join(map(describe_ended, untold)))
        elif any(not each.began_told for each in opened):
            report_incident(settings, _describe(settings, kind, judgement.session, opened))
    told = {id(each) for each in untold}
    return [
        replace(each, began_told=True, ended_told=each.ended is not None) if id(each) in told else each
        for each in judgement.breaches
    ]


def find_kind(signal: str) -> str:
    """Return the kind of incident that a signal's breach is."""
    return _KINDS[signal.partition("_")[0]]


def _describe(settings: Settings, kind: str, session: date, opened: Sequence[Breach]) -> Incident:
    pages = settings.airflow_url
    return Incident(
        f"{kind}/forecasts",
        kind,
        f"{KINDS[kind].title}, session {session}",
        describe_began(opened[-1]),
        affected=Affected(session=session),
        parts=tuple(each.signal for each in opened),
        links=Links(report=f"{pages.rstrip('/')}/session-reports/{session}" if pages else None),
    )


def breaches_file(settings: Settings) -> Path:
    """Return where episodes are kept."""
    return settings.monitoring / "breaches.json"


def read_breaches(settings: Settings) -> list[Breach]:
    """Read all episodes, oldest first.

    Raises
    ------
    InputError
        The file is not as it was written.
    """
    path = breaches_file(settings)
    if not path.is_file():
        return []
    try:
        return [_read(each) for each in json.loads(path.read_text())]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("episodes must be as they were written", value=str(error), place=str(path)) from error


def _read(said: dict[str, Any]) -> Breach:
    days = {name: date.fromisoformat(said[name]) if said[name] else None for name in _DATES}
    return Breach(**(said | days))


def write_breaches(settings: Settings, breaches: Sequence[Breach]) -> None:
    """Keep the newest episodes."""
    said = [asdict(each) for each in breaches[-_KEPT_BREACHES:]]
    write_atomically(breaches_file(settings), json.dumps(said, default=str, indent=1))
