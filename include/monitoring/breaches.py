"""When watched signals are in breach: an episode begins once several of the newest sessions are beyond a limit.

There are no p-values: at 10,000 symbols they call nearly every session different. A limit comes from how far the signal
itself went in the sessions before, those of earlier episodes left out: the second largest, its distance from the usual
value times a margin, and never nearer than a floor. An episode keeps the limit that it began with, so that what is
wrong for long does not become usual, and ends when the signal is back below it, or another version serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from include.monitoring.signals import INPUTS, Floats, Signals

WATCHED_SESSIONS = 90
"""Newest sessions that are looked at: the judged ones and those before them, which give the limits."""

JUDGED_SESSIONS = 5
"""Newest sessions that are judged together."""

BEGIN_AT = 3
"""Of the judged sessions, how many beyond the limit begin an episode, the newest among them."""

END_AT = 1
"""Of the judged sessions, how many may still be beyond it when an episode ends."""

FEWEST_SESSIONS = 20
"""Sessions with a value before the judged ones, below which a signal has no limit."""

MARGIN = 1.25
"""How many times the second largest distance from the usual value the limit lies away."""

FLOORS = {"skill": 0.02, "correlation": 0.05, "coverage_80": 0.1, "coverage_95": 0.05, "outputs": 0.1}
"""Least distance of a limit from the usual value: 2 % of last close's error, points of coverage, and a PSI below which
a distribution counts as unchanged (N. Siddiqi, Credit Risk Scorecards, Wiley, 2006, chapter "Scorecard Development
Process, Stage 7")."""


@dataclass(frozen=True)
class Breach:
    """An episode.

    Attributes
    ----------
    signal
        One of `Signals.values`.
    began, ended
        Sessions at which it was judged so; `ended` None while it is open.
    since
        The first of the judged sessions that was beyond the limit.
    value, limit
        When it began.
    model_version
        That had made the forecasts when it began.
    cause
        A few words, or empty.
    why_ended
        Empty while it is open.
    began_told, ended_told
        Whether a message of it has gone out.
    """

    signal: str
    began: date
    since: date
    value: float
    limit: float
    model_version: int
    cause: str = ""
    ended: date | None = None
    why_ended: str = ""
    began_told: bool = False
    ended_told: bool = False


@dataclass(frozen=True)
class Verdict:
    """A signal at the newest session: None where it has no value, or too few sessions for a limit."""

    signal: str
    value: float | None
    limit: float | None
    beyond: int
    in_breach: bool


@dataclass(frozen=True)
class Judgement:
    """What a session's watch found: a verdict a signal, the episodes after it, and which began and ended by it."""

    session: date
    verdicts: list[Verdict]
    breaches: list[Breach]
    began: list[Breach]
    ended: list[Breach]


def judge_signals(signals: Signals, breaches: Sequence[Breach]) -> Judgement:
    """Judge the newest session of some signals; of the judged sessions, those of its own version count.

    Parameters
    ----------
    signals
        Of the newest `WATCHED_SESSIONS` or fewer, at least one.
    breaches
        All episodes up to now, oldest first.
    """
    session, version = signals.sessions[-1], int(signals.versions[-1])
    verdicts, kept, began, ended = [], list(breaches), [], []
    for name, values in signals.values.items():
        at = next((at for at, each in enumerate(kept) if each.signal == name and each.ended is None), None)
        if at is not None and version not in (-1, kept[at].model_version):
            kept[at] = replace(kept[at], ended=session, why_ended=f"version {version} serves")
            ended.append(kept[at])
            at = None
        past = [each for each in kept if each.signal == name]
        limit = kept[at].limit if at is not None else find_limit(name, signals.sessions, values, past)
        own = np.where(signals.versions == version, values, np.nan)
        verdict = _judge(name, own, limit, is_open=at is not None)
        verdicts.append(verdict)
        if verdict.in_breach and at is None:
            began.append(_begin(verdict, signals, own))
            kept.append(began[-1])
        elif at is not None and not verdict.in_breach:
            kept[at] = replace(kept[at], ended=session, why_ended="back below its limit")
            ended.append(kept[at])
    return Judgement(session, verdicts, kept, began, ended)


def find_limit(name: str, sessions: Sequence[date], values: Floats, past: Sequence[Breach]) -> float | None:
    """Return beyond what a session's value counts, None where too few sessions say so.

    Parameters
    ----------
    name
        Of the signal. That of the inputs is in units of its own limits.
    sessions, values
        (n_sessions,), the judged ones last.
    past
        Episodes of this signal: their sessions are left out.
    """
    if name == INPUTS:
        return 1.0
    spoilt = _find_spoilt(sessions, past)
    usual = np.isfinite(values) & ~spoilt & (np.arange(len(values)) < len(values) - JUDGED_SESSIONS)
    if usual.sum() < FEWEST_SESSIONS:
        return None
    known = np.sort(values[usual])
    kind = name.rpartition("_")[0]
    centre = float(np.median(known)) if kind in ("skill", "correlation") else 0.0
    return centre + max(FLOORS[kind], MARGIN * (float(known[-2]) - centre))


def _find_spoilt(sessions: Sequence[date], past: Sequence[Breach]) -> npt.NDArray[np.bool_]:
    days = np.array(sessions, dtype="datetime64[D]")
    spoilt = np.zeros(len(days), dtype=bool)
    for each in past:
        spoilt |= (days >= np.datetime64(each.since)) & (days < np.datetime64(each.ended or date.max))
    return spoilt


def _judge(name: str, values: Floats, limit: float | None, *, is_open: bool) -> Verdict:
    newest = values[-JUDGED_SESSIONS:]
    value = float(newest[-1]) if np.isfinite(newest[-1]) else None
    if limit is None:
        return Verdict(name, value, None, 0, in_breach=False)
    is_beyond = newest > limit  # NaN is not
    beyond = int(is_beyond.sum())
    in_breach = beyond > END_AT if is_open else beyond >= BEGIN_AT and bool(is_beyond[-1])
    return Verdict(name, value, limit, beyond, in_breach=in_breach)


def _begin(verdict: Verdict, signals: Signals, values: Floats) -> Breach:
    assert verdict.value is not None
    assert verdict.limit is not None
    session, newest = signals.sessions[-1], values[-JUDGED_SESSIONS:]
    since = signals.sessions[-len(newest) :][int(np.argmax(newest > verdict.limit))]
    cause = signals.causes.get((verdict.signal, session), "")
    version = int(signals.versions[-1])
    return Breach(verdict.signal, session, since, verdict.value, verdict.limit, version, cause)
