"""Drift on a real file, walked forward: false alarms, what injected faults are found, seconds at 10,000 symbols.

Every reference is built from the sessions before those that it judges and is replaced every --refresh sessions, as a
retrain does. No session is left out as "not calm": an alarm on a real session counts as false whatever the market did.
false_alarms_200   sessions with any drifted column, in 200
build_seconds, judge_seconds   a reference of 250 sessions, and one session, at 10,000 symbols (best of the runs)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.report import Goal, report
from include.console import build_table, out
from include.ingest.judge import RowRules, judge_rows
from include.market.sessions import guess_calendar
from include.quality.drift import (
    FEWEST_SYMBOLS,
    REFERENCE_SESSIONS,
    DriftReference,
    build_reference,
    judge_session,
)
from include.quality.drift_columns import BACK_SESSIONS
from include.quality.suites import DEFAULT_FILE, read_suites
from include.schema import WINDOW_COLUMNS
from include.uploads.read import read_upload

Cube = npt.NDArray[np.float32]
Fault = Callable[[Cube, Cube, np.random.Generator], Cube]

GOALS = {
    "false_alarms_200": Goal(at_most=1.0),
    "judge_seconds": Goal(at_most=1.0),
    "found_share": Goal(at_least=0.95),
}
OPEN, HIGH, LOW, CLOSE, VOLUME, CAP = range(len(WINDOW_COLUMNS))
SYMBOLS = 10_000


@dataclass(frozen=True)
class History:
    """A real file as a cube, (n_sessions, n_symbols, 6)."""

    values: Cube
    sessions: list[date]


def read_history(path: Path, calendar: str | None) -> History:
    """Read a file of many sessions, keep what ingest would accept, make it dense."""
    with read_upload(path) as upload:
        bars = upload.bars.to_table()
    calendar = calendar or guess_calendar(bars["session"].unique().to_pylist())
    accepted = judge_rows(bars, RowRules(calendar, read_suites(DEFAULT_FILE).rows)).accepted
    days = accepted["session"].cast(pa.int32()).to_numpy()
    sessions, row = np.unique(days, return_inverse=True)
    symbol = accepted["symbol"].cast(pa.string()).combine_chunks().dictionary_encode()
    values = np.full((len(sessions), len(symbol.dictionary), len(WINDOW_COLUMNS)), np.nan, dtype=np.float32)
    for axis, name in enumerate(WINDOW_COLUMNS):
        values[row, symbol.indices.to_numpy(), axis] = accepted[name].to_numpy()
    return History(values, sessions.astype("datetime64[D]").tolist())


def times(columns: list[int], factor: float) -> Fault:
    """Multiply columns."""

    def spoil(today: Cube, before: Cube, rng: np.random.Generator) -> Cube:
        spoilt = today.copy()
        spoilt[:, columns] *= np.float32(factor)
        return spoilt

    return spoil


def swapped(one: int, other: int) -> Fault:
    """Swap two columns."""

    def spoil(today: Cube, before: Cube, rng: np.random.Generator) -> Cube:
        spoilt = today.copy()
        spoilt[:, [one, other]] = today[:, [other, one]]
        return spoilt

    return spoil


def shuffled(share: float) -> Fault:
    """Give some symbols each other's rows."""

    def spoil(today: Cube, before: Cube, rng: np.random.Generator) -> Cube:
        present = np.flatnonzero(np.isfinite(today[:, CLOSE]))
        chosen = rng.choice(present, int(share * len(present)), replace=False)
        spoilt = today.copy()
        spoilt[chosen] = today[rng.permutation(chosen)]
        return spoilt

    return spoil


def frozen(today: Cube, before: Cube, rng: np.random.Generator) -> Cube:
    """All four prices at the last close: every return is zero."""
    spoilt, close = today.copy(), before[-1, :, CLOSE]
    known = np.isfinite(close) & np.isfinite(today[:, CLOSE])
    spoilt[known, :VOLUME] = close[known, None]
    return spoilt


FAULTS: dict[str, tuple[Fault, bool]] = {
    "open and close swapped": (swapped(OPEN, CLOSE), True),
    "volume and market cap swapped": (swapped(VOLUME, CAP), True),
    "prices x 1.5": (times([OPEN, HIGH, LOW, CLOSE], 1.5), True),
    "prices x 1.1": (times([OPEN, HIGH, LOW, CLOSE], 1.1), False),
    "prices x 1.02": (times([OPEN, HIGH, LOW, CLOSE], 1.02), False),
    "volume x 1000": (times([VOLUME], 1000), True),
    "volume x 3": (times([VOLUME], 3), False),
    "frozen feed, all returns zero": (frozen, True),
    "a copy of yesterday": (lambda today, before, rng: before[-1].copy(), True),
    "a copy of a week ago": (lambda today, before, rng: before[-5].copy(), False),
    "half the symbols shuffled": (shuffled(0.5), True),
    "a tenth of the symbols shuffled": (shuffled(0.1), False),
    "a hundredth of the symbols shuffled": (shuffled(0.01), False),
    "no volume": (times([VOLUME], np.nan), False),
}
"""Each fault, and whether it is one that must be found; the others show where the sight ends."""


@dataclass(frozen=True)
class Walk:
    """What a walk forward saw: sessions judged, alarms by session, faults found by name, and in how many trials."""

    judged: int
    alarms: dict[date, list[str]]
    found: Counter[str]
    trials: int


def walk_forward(history: History, refresh: int) -> Walk:
    """Judge every session by the newest reference from before it, and one session a reference with each fault."""
    rng, judged, trials = np.random.default_rng(0), 0, 0
    alarms: dict[date, list[str]] = {}
    found: Counter[str] = Counter()
    values = history.values
    for origin, end in origins(history, refresh):
        start = origin - REFERENCE_SESSIONS - BACK_SESSIONS
        reference = build_reference(values[max(0, start) : origin], history.sessions[max(0, start) : origin])
        for at in range(origin, end):
            drifted = drifts(reference, values[at], values[at - BACK_SESSIONS : at])
            judged += 1
            if drifted:
                alarms[history.sessions[at]] = drifted
        spoilt = int(rng.integers(origin, end))
        before = values[spoilt - BACK_SESSIONS : spoilt]
        trials += 1
        for name, (fault, _) in FAULTS.items():
            found[name] += bool(drifts(reference, fault(values[spoilt], before, rng), before))
    return Walk(judged, alarms, found, trials)


def origins(history: History, refresh: int) -> Iterator[tuple[int, int]]:
    """Give the first and the end of each run of sessions that one reference judges."""
    enough = np.isfinite(history.values[..., CLOSE]).sum(axis=1) >= FEWEST_SYMBOLS
    first = int(np.argmax(enough)) + REFERENCE_SESSIONS + 1
    for origin in range(first, len(history.sessions), refresh):
        yield origin, min(origin + refresh, len(history.sessions))


def drifts(reference: DriftReference, today: Cube, before: Cube) -> list[str]:
    """Name what drifted, with value and limit."""
    judged = judge_session(reference, today, before)
    return [f"{d.column} {d.statistic} {d.value:.2f} > {d.limit:.2f}" for d in judged if d.drifted]


def measure_speed(runs: int) -> dict[str, float]:
    """Time one reference and one session at 10,000 symbols, best of the runs."""
    rng = np.random.default_rng(1)
    count = REFERENCE_SESSIONS + BACK_SESSIONS
    close = np.exp(rng.normal(0, 2, SYMBOLS) + np.cumsum(rng.normal(0, 0.03, (count, SYMBOLS)), axis=0))
    spread = np.exp(np.abs(rng.normal(0, 0.01, close.shape)))
    volume = rng.lognormal(10, 1, close.shape)
    columns = [close / spread**0.5, close * spread, close / spread, close, volume, close * 1e6]
    values = np.stack(columns, axis=-1).astype(np.float32)
    sessions = [date.fromordinal(730_000 + at) for at in range(count)]
    built, judged = [], []
    for _ in range(runs):
        started = time.perf_counter()
        reference = build_reference(values[:-1], sessions[:-1])
        built.append(time.perf_counter() - started)
        for _ in range(5):
            started = time.perf_counter()
            judge_session(reference, values[-1], values[-1 - BACK_SESSIONS : -1])
            judged.append(time.perf_counter() - started)
    return {"build_seconds": min(built), "judge_seconds": min(judged), "slowest_judge_seconds": max(judged)}


def main() -> int:
    """Walk a file forward, print its alarms and the power table, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a file of many sessions, as an upload")
    parser.add_argument("--calendar", help="24/7, XNYS, ...; guessed from the dates by default")
    parser.add_argument("--refresh", type=int, default=7, help="sessions that one reference judges")
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    history = read_history(given.data, given.calendar)
    seen = walk_forward(history, given.refresh)
    for session, said in seen.alarms.items():
        out.print(f"alarm {session}: {'; '.join(said)}")
    rows = [
        [name, "yes" if must else "", f"{100 * seen.found[name] / seen.trials:.1f} %"]
        for name, (_, must) in FAULTS.items()
    ]
    out.print(build_table(f"faults, {seen.trials} trials each", ["fault", "must be found", "found"], rows))
    measured = {
        "false_alarms_200": 200 * len(seen.alarms) / seen.judged,
        "alarms": len(seen.alarms),
        "sessions": seen.judged,
        "found_share": min(seen.found[name] for name, (_, must) in FAULTS.items() if must) / seen.trials,
        **measure_speed(given.runs),
    }
    return 0 if report("drift", measured, GOALS, note=f"{given.data.name}, refresh {given.refresh}") else 1


if __name__ == "__main__":
    sys.exit(main())
