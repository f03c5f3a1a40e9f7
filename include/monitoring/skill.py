"""Realised skill: what forecasts were worth once their sessions came, always beside the last close.

Errors are means of |actual - forecast| of log prices. Only forecasts that a model made count (`scored`), and never one
whose session the version was fitted or chosen on (`in_sample`): what was left out is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.backtest.cohorts import split_deciles
from include.errors import InputError
from include.lake.dense import read_floats
from include.lake.files import list_sessions
from include.lake.reads import read_partitions
from include.lake.tables import OUTCOMES, find_table
from include.schema import LEVELS, TARGETS, Status
from include.settings import Settings

SPANS = (1, 7, 30, 90)
"""Newest settled sessions that are measured together where nothing is told apart."""

GROUPS = {
    "session": "target_session",
    "symbol": "symbol",
    "cohort": "cohort",
    "version": "model_version",
    "horizon": "horizon",
}
"""What forecasts can be told apart by, and the column that does it; a cohort is a decile of volatility."""

_KEYS = GROUPS | {"span": "span"}

UNKNOWN = "unknown"

_COLUMNS = [
    *("target_session", "horizon", "symbol", "target", "status", "error", "last_close_error", "scaled_error"),
    *("is_hit", *(f"inside_{level}" for level in LEVELS), "in_sample", "volatility", "model_version"),
]
_MEANS = {
    "absolute": "mean_absolute_error",
    "absolute_last": "last_close_error",
    "is_hit": "directional_accuracy",
    **{f"inside_{level}": f"coverage_{level}" for level in LEVELS},
    "absolute_scaled": "mean_scaled_error",
}


@dataclass(frozen=True)
class Skill:
    """Skill of one group of forecasts of one target; None where no forecast of the group has what a figure takes.

    Attributes
    ----------
    group
        Its name: a symbol, a version, `newest 30`, ...
    forecasts
        How many are measured.
    mean_absolute_error, last_close_error
        Means of |actual - forecast| and of |actual - last close|, log prices.
    relative_error
        The first over the second: below 1 is better than the last close.
    directional_accuracy
        Share that moved to the side that was forecast, of those that moved.
    coverage_80, coverage_95
        Shares of actual values inside the intervals.
    mean_scaled_error
        Mean of |error| in units of the symbol's own volatility.
    """

    group: str
    target: str
    forecasts: int
    mean_absolute_error: float
    last_close_error: float
    relative_error: float | None
    directional_accuracy: float | None
    coverage_80: float | None
    coverage_95: float | None
    mean_scaled_error: float | None


@dataclass(frozen=True)
class SkillReport:
    """Skill over settled sessions, oldest first; and the forecasts left out, since no model made them or it knew."""

    sessions: list[date]
    rows: list[Skill]
    in_sample: int
    fallback: int


def settled_sessions(settings: Settings, *, through: date | None = None) -> list[date]:
    """Return the sessions that have outcomes, oldest first."""
    opened = find_table(settings.lake, OUTCOMES)
    return [day for day in list_sessions(opened) if through is None or day <= through] if opened else []


def read_outcomes(settings: Settings, sessions: Sequence[date], columns: Collection[str]) -> pa.Table:
    """Read some columns of some sessions' outcomes."""
    opened = find_table(settings.lake, OUTCOMES)
    if opened is None:
        return OUTCOMES.schema.empty_table().select(list(columns))
    return read_partitions(opened, "target_session", sessions, columns=list(columns))


def read_skill(
    settings: Settings, *, by: str | None = None, sessions: int = 30, through: date | None = None
) -> SkillReport:
    """Measure the newest settled sessions.

    Parameters
    ----------
    settings
        Whose lake.
    by
        One of `GROUPS`; by default all forecasts together, over each of `SPANS` up to `sessions`.
    sessions
        How many.
    through
        The newest that counts.

    Raises
    ------
    InputError
        `by` is none of the groups, or sessions is below 1.
    """
    if by is not None and by not in GROUPS:
        raise InputError(f"by must be one of {', '.join(GROUPS)}", value=by)
    if sessions < 1:
        raise InputError("sessions must be at least 1", value=sessions)
    days = settled_sessions(settings, through=through)[-sessions:]
    rows = read_outcomes(settings, days, _COLUMNS)
    counted = keep_counted(rows)
    found = measure_skill(counted, by) if by else _measure_spans(counted, days)
    in_sample = int(pc.sum(pc.fill_null(rows["in_sample"], False)).as_py() or 0)
    fallback = int(pc.sum(pc.equal(rows["status"], Status.FALLBACK.value)).as_py() or 0)
    return SkillReport(days, found, in_sample, fallback)


def keep_counted(rows: pa.Table, *, horizon: int | None = None) -> pa.Table:
    """Keep the outcomes that count as skill, of one horizon or of all."""
    counted = pc.and_(pc.equal(rows["status"], Status.SCORED.value), pc.invert(rows["in_sample"]))
    if horizon is not None:
        counted = pc.and_(counted, pc.equal(rows["horizon"], horizon))
    return rows if pc.all(counted, min_count=0).as_py() else rows.filter(counted)


def measure_skill(rows: pa.Table, by: str) -> list[Skill]:
    """Measure outcomes that count, by target and one of `GROUPS`.

    Returns
    -------
    list of Skill
        Ordered by group and target, the open first; symbols by what they lost against the last close.
    """
    rows = (_add_cohorts(rows) if by == "cohort" else rows).unify_dictionaries()  # each file has its own of symbols
    key = _KEYS[by]
    rows = rows.append_column("absolute", pc.abs(rows["error"]))
    rows = rows.append_column("absolute_last", pc.abs(rows["last_close_error"]))
    rows = rows.append_column("absolute_scaled", pc.abs(rows["scaled_error"]))
    # One thread: sums of floats in another order end in other digits.
    grouped = rows.group_by([key, "target"], use_threads=False).aggregate(
        [("error", "count"), *((name, "mean") for name in _MEANS)]
    )
    found = sorted(grouped.to_pylist(), key=lambda row: (_order(row[key]), -TARGETS[::-1].index(row["target"])))
    skill = [_build(UNKNOWN if row[key] is None else str(row[key]), row) for row in found]
    return sorted(skill, key=lambda row: row.last_close_error - row.mean_absolute_error) if by == "symbol" else skill


def _build(group: str, row: dict[str, float]) -> Skill:
    means = {said: row[f"{name}_mean"] for name, said in _MEANS.items()}
    last = means["last_close_error"]
    relative = means["mean_absolute_error"] / last if last else None
    return Skill(group, str(row["target"]), int(row["error_count"]), relative_error=relative, **means)


def _order(value: object) -> tuple[int, object]:
    """Put numbers in their order, words in theirs, and what is not known last."""
    return (1, "") if value is None else (0, value)


def _measure_spans(rows: pa.Table, days: Sequence[date]) -> list[Skill]:
    """Measure all forecasts together over each span, up to the first that holds all of the days."""
    found: list[Skill] = []
    spans = [span for span in SPANS if span < len(days)] + ([len(days)] if days else [])
    for span in spans:
        newest = rows.filter(pc.is_in(rows["target_session"], pa.array(days[-span:], pa.date32())))
        label = pa.repeat(f"newest {span}", newest.num_rows)
        found += measure_skill(newest.append_column("span", label), "span")
    return found


def _add_cohorts(rows: pa.Table) -> pa.Table:
    """Number each target's outcomes by decile of volatility as it was known before, 1 the calmest."""
    volatility = read_floats(rows, "volatility")
    targets = rows["target"].to_numpy()
    decile = np.zeros(rows.num_rows, dtype=np.int64)
    for target in TARGETS:
        chosen = targets == target
        decile[chosen] = split_deciles(np.ones(int(chosen.sum()), dtype=bool), volatility[chosen]) + 1
    return rows.append_column("cohort", pa.array(decile, mask=decile == 0))
