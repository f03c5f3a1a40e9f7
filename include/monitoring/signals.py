"""What of each session's forecasts is watched: one number a session and signal, the larger the worse.

    skill_TARGET        mean absolute error over the last close's
    correlation_TARGET  correlation over the symbols of what was forecast with what came, less its sign
    coverage_80_TARGET  share of actual values that the interval was to hold and did not: level - coverage
    outputs_TARGET      PSI of the forecasts against those of the same version's earlier sessions
    inputs              of the session's bars, the largest drift statistic over its limit: docs/drift.md

For correlation and outputs log returns are in units of the symbol's volatility, the session's median taken out: what
the whole market did hides a forecast that has turned around. The nearest horizon alone is watched: it has an outcome
for every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.backtest.intervals import SMALLEST_UNIT
from include.lake.dense import read_floats
from include.monitoring.skill import keep_counted
from include.quality.drift import LEVELS as QUANTILES
from include.quality.drift import DriftReference, judge_session, smooth_counts
from include.quality.drift_columns import BACK_SESSIONS
from include.schema import LEVELS, TARGETS

Floats = npt.NDArray[np.float64]
Cube = npt.NDArray[np.floating]

COLUMNS = (
    *("target_session", "horizon", "target", "status", "error", "last_close_error"),
    *(f"inside_{level}" for level in LEVELS),
    *("in_sample", "volatility", "model_version"),
)
"""Of `outcomes`, what signals are measured from."""

INPUTS = "inputs"
_FEWEST_FORECASTS = 30
"""Forecasts below which a session says nothing."""

_MOST_UNITS = 10.0
_NO_SPREAD = 1e-20
_EDGE_VALUES = 200_000
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals of some sessions.

    Attributes
    ----------
    sessions
        Those that were forecast, oldest first.
    values
        By signal, float64 (n_sessions,); NaN where a session has none.
    versions
        int64 (n_sessions,), the model version whose forecasts came true; -1 where none did.
    causes
        A few words on a session's signal, where there are any: by signal and session.
    """

    sessions: list[date]
    values: dict[str, Floats]
    versions: npt.NDArray[np.int64]
    causes: dict[tuple[str, date], str]


def measure_signals(rows: pa.Table, sessions: Sequence[date], *, recent: int) -> Signals:
    """Measure the signals that outcomes give.

    Parameters
    ----------
    rows
        Outcomes with `COLUMNS`.
    sessions
        Oldest first.
    recent
        How many of the newest sessions the outputs' reference must not hold.
    """
    counted = keep_counted(rows, horizon=1)
    place = _locate(counted["target_session"], sessions)
    if (np.diff(place) < 0).any():
        order = np.argsort(place, kind="stable")
        counted, place = counted.take(pa.array(order)), place[order]
    versions = np.full(len(sessions), -1, dtype=np.int64)
    np.maximum.at(versions, place, counted["model_version"].to_numpy())
    values: dict[str, Floats] = {}
    for target in TARGETS:
        chosen = pc.equal(counted["target"], target)
        of_target = _Outcomes.read(counted.filter(chosen), place[np.asarray(chosen)], len(sessions))
        found = _measure_errors(of_target) | _measure_own(of_target, versions, recent=recent)
        values |= {f"{name}_{target}": value for name, value in found.items()}
    return Signals(list(sessions), values, versions, {})


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """Outcomes of one target: the table, and of each row its session, in order."""

    rows: pa.Table
    place: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def read(cls, rows: pa.Table, place: npt.NDArray[np.int64], n_sessions: int) -> _Outcomes:
        return cls(rows, place, np.bincount(place, minlength=n_sessions))

    def column(self, name: str) -> Floats:
        """Return a column as float64, NaN for null."""
        return read_floats(self.rows, name)

    def average(self, values: Floats) -> Floats:
        """Average by session what is known; NaN where too little is."""
        known = np.isfinite(values)
        counts = np.bincount(self.place, known, len(self.counts))
        sums = np.bincount(self.place, np.where(known, values, 0.0), len(self.counts))
        return np.where(counts >= _FEWEST_FORECASTS, sums / np.maximum(counts, 1), np.nan)


def _locate(days: pa.ChunkedArray, sessions: Sequence[date]) -> npt.NDArray[np.int64]:
    """Give the position of each row's session."""
    first = sessions[0].toordinal()
    positions = np.zeros(sessions[-1].toordinal() - first + 1, dtype=np.int64)
    positions[[day.toordinal() - first for day in sessions]] = np.arange(len(sessions))
    return np.asarray(positions[days.cast(pa.int32()).to_numpy() + (_EPOCH - first)])


def _measure_errors(of: _Outcomes) -> dict[str, Floats]:
    error, last = (of.average(np.abs(of.column(name))) for name in ("error", "last_close_error"))
    shortfalls = {f"coverage_{level}": level / 100 - of.average(of.column(f"inside_{level}")) for level in LEVELS}
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"skill": np.where(last > 0, error / last, np.nan), **shortfalls}


def _measure_own(of: _Outcomes, versions: npt.NDArray[np.int64], *, recent: int) -> dict[str, Floats]:
    unit = np.maximum(of.column("volatility"), SMALLEST_UNIT)
    moved = of.column("last_close_error")
    said = moved - of.column("error")
    known = np.isfinite(unit)
    if not known.all():
        of = _Outcomes.read(of.rows.filter(pa.array(known)), of.place[known], len(of.counts))
        unit, moved, said = unit[known], moved[known], said[known]
    own_said, own_moved = _take_own(said / unit, of.counts), _take_own(moved / unit, of.counts)
    return {
        "correlation": -correlate(own_said, own_moved, of.place, len(of.counts)),
        "outputs": compare_outputs(own_said, of.place, versions, recent=recent),
    }


def _take_own(values: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Take each session's median out; beyond `_MOST_UNITS` a value counts as that, so that one symbol is no market.

    The values are in the order of the sessions, as many of each as `counts` says.
    """
    parts = np.split(values, np.cumsum(counts)[:-1])
    own = [part - np.median(part) if len(part) else part for part in parts]
    return np.asarray(np.clip(np.concatenate(own), -_MOST_UNITS, _MOST_UNITS))


def correlate(one: Floats, other: Floats, place: npt.NDArray[np.int64], n_sessions: int) -> Floats:
    """Correlate two numbers of each forecast by session; NaN where a session has too few, or one never changes."""
    count = np.bincount(place, minlength=n_sessions)

    def average(values: Floats) -> Floats:
        return np.bincount(place, values, n_sessions) / np.maximum(count, 1)

    first, second = average(one), average(other)
    spread = (average(one * one) - first**2) * (average(other * other) - second**2)
    known = (count >= _FEWEST_FORECASTS) & (spread > _NO_SPREAD)
    together = average(one * other) - first * second
    return np.where(known, together / np.sqrt(np.where(known, spread, 1.0)), np.nan)


def compare_outputs(
    said: Floats, place: npt.NDArray[np.int64], versions: npt.NDArray[np.int64], *, recent: int
) -> Floats:
    """Compare each session's forecasts with those of the newest version's earlier sessions.

    Parameters
    ----------
    said
        float64 (n,), what was forecast.
    place
        int64 (n,), the session of each.
    versions
        int64 (n_sessions,).
    recent
        Newest sessions that are judged and no reference.

    Returns
    -------
    numpy.ndarray
        float64 (n_sessions,), PSI; NaN for another version's sessions, or where there is no reference.
    """
    found = np.full(len(versions), np.nan)
    if not len(versions):
        return found
    same = versions == versions[-1]
    reference = same & (np.arange(len(versions)) < len(versions) - recent)
    pool = said[reference[place]]
    if not reference.any() or len(pool) < _FEWEST_FORECASTS:
        return found
    step = max(1, len(pool) // _EDGE_VALUES)
    edges = np.unique(np.quantile(pool[::step], QUANTILES, method="inverted_cdf"))
    bins = np.searchsorted(edges, said)
    width = len(edges) + 1
    counts = np.bincount(place * width + bins, minlength=len(versions) * width).astype(np.float64)
    counts = counts.reshape(len(versions), width)
    usual, share = smooth_counts(counts[reference].sum(axis=0)), smooth_counts(counts)
    psi = ((share - usual) * np.log(share / usual)).sum(axis=-1)
    judged = same & (counts.sum(axis=-1) >= _FEWEST_FORECASTS)
    return np.where(judged, psi, np.nan)


def add_inputs(signals: Signals, reference: DriftReference, values: Cube, held: Sequence[date], newest: int) -> Signals:
    """Add how far the bars of the newest sessions drifted from what the version has seen.

    Parameters
    ----------
    signals
        Of some sessions.
    reference
        Kept with the version.
    values, held
        Float (n_held, n_symbols, 6), bars of these sessions: the judged ones, and `BACK_SESSIONS` before them.
    newest
        How many of the newest are judged.
    """
    found, causes = np.full(len(signals.sessions), np.nan), dict(signals.causes)
    first = max(0, len(signals.sessions) - newest)
    for row, day in enumerate(signals.sessions[first:], start=first):
        at = held.index(day) if day in held else 0
        judged = judge_session(reference, values[at], values[max(0, at - BACK_SESSIONS) : at]) if at else []
        limited = [each for each in judged if each.limit > 0]
        if limited:
            worst = max(limited, key=lambda each: each.value / each.limit)
            found[row] = worst.value / worst.limit
            causes[INPUTS, day] = f"{worst.column} {worst.statistic} {worst.value:.3g}, limit {worst.limit:.3g}"
    return replace(signals, values=signals.values | {INPUTS: found}, causes=causes)
