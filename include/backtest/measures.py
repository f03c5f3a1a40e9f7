"""Every metric of every model, by target, cohort and span of sessions.

The metrics are those of `models.metrics`, which a test holds every figure here equal to. There each call looks at the
cells of one group; here each cell's part in every metric is worked out once and summed by session and group, so that
seventy groups cost little more than one. What does not depend on a model (scales, volatility, groups) is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from include.backtest.cohorts import Cohort, find_cohorts, measure_volatility
from include.backtest.heldout import Forecasts, HeldOut
from include.backtest.intervals import LEVELS, walk_intervals
from include.lake.bars import BarCube
from include.schema import TARGETS, WINDOW_COLUMNS
from models.metrics import absolute_scale, squared_scale

SPANS = (7, 30)
"""Newest sessions that are measured apart, besides all."""

SCALE_SESSIONS = 20
"""Steps of a target's own prices, up to the origin, that its errors are scaled by in MASE and RMSSE."""

ALL = "all"
INTERVAL_METRICS = tuple(f"{name}_{level}" for level in LEVELS for name in ("coverage", "width"))
METRICS = (
    "mean_absolute_error",
    "relative_error",
    "mase",
    "rmsse",
    "smape",
    "directional_accuracy",
    "bias",
    "pinball_loss",
    *INTERVAL_METRICS,
)
"""In the order in which they are shown: errors of log returns, of prices, directions, intervals.

`bias` is the mean of actual - forecast; `pinball_loss` the mean over all bounds of all levels, each as the quantile
that it stands for; coverage, width and pinball loss are of the cells that have intervals.
"""

_CLOSE = WINDOW_COLUMNS.index("close")

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Yardsticks:
    """What forecasts are measured by, whatever model they are of.

    Attributes
    ----------
    held
        What came.
    volatility
        float32 (n_sessions, n_symbols, 2), known before the session.
    session, symbol
        int64 (n_cells,), each judged cell's place.
    last_close
        float64 (n_cells,), the price that log returns are against.
    absolute_scale, squared_scale
        float64 (n_cells, 2), of the target's own prices over `SCALE_SESSIONS` steps up to the origin.
    cohorts
        See `find_cohorts`.
    sums
        (n_cohorts) matrices (n_sessions * n_groups, n_cells) that sum cells by session and group.
    spans
        Label and first row of each span of sessions.
    """

    held: HeldOut
    volatility: npt.NDArray[np.float32]
    session: Indices
    symbol: Indices
    last_close: Floats
    absolute_scale: Floats
    squared_scale: Floats
    cohorts: tuple[Cohort, ...]
    sums: tuple[csr_array, ...]
    spans: tuple[tuple[str, int], ...]


def build_yardsticks(cube: BarCube, held: HeldOut, spans: Sequence[int] = SPANS) -> Yardsticks:
    """Work out what every model's forecasts of the held-out sessions are measured by."""
    volatility = measure_volatility(cube.values, held.origins)
    absolute, squared = _measure_scales(cube, held)
    last_close = cube.values[held.origins.start : held.origins.stop, :, _CLOSE][held.cells].astype(np.float64)
    cohorts, (session, symbol) = find_cohorts(cube, held, volatility), np.nonzero(held.cells)
    n = len(held.sessions)
    sums = tuple(_build_sums(session, each, n) for each in cohorts)
    shorter = [(f"last {span}", n - span) for span in spans if span < n]
    return Yardsticks(
        held, volatility, session, symbol, last_close, absolute, squared, cohorts, sums, ((ALL, 0), *shorter)
    )


def _measure_scales(cube: BarCube, held: HeldOut) -> tuple[Floats, Floats]:
    """Absolute and squared scale of each judged cell's own prices up to its origin, (n_cells, 2) each."""
    absolute, squared = [], []
    for origin, judged in zip(held.origins, held.cells, strict=True):
        prices = cube.values[max(origin - SCALE_SESSIONS, 0) : origin + 1, judged]
        histories = [prices[..., WINDOW_COLUMNS.index(target)].T.astype(np.float64) for target in TARGETS]
        absolute.append(np.stack([absolute_scale(history) for history in histories], axis=-1))
        squared.append(np.stack([squared_scale(history) for history in histories], axis=-1))
    return np.concatenate(absolute), np.concatenate(squared)


def _build_sums(session: Indices, cohort: Cohort, n_sessions: int) -> csr_array:
    """Build the matrix that sums cells by session and group, (n_sessions * n_groups, n_cells)."""
    n_groups = len(cohort.labels)
    inside = np.flatnonzero(cohort.codes >= 0)
    place = session[inside] * n_groups + cohort.codes[inside]
    shape = (n_sessions * n_groups, len(session))
    return csr_array((np.ones(len(inside)), (place, inside)), shape=shape)


def measure_models(yardsticks: Yardsticks, forecasts: Mapping[str, Forecasts], *, threads: int = 2) -> list[Row]:
    """Measure each model in each group.

    Parameters
    ----------
    yardsticks
        From `build_yardsticks`.
    forecasts
        By model, float32 (n_sessions, n_symbols, 2), log returns.
    threads
        Pairs of model and target that are worked on at once.

    Returns
    -------
    list of dict
        model, target, cohort, group, sessions (the span), cells (with a forecast), and every one of METRICS, NaN where
        no cell has what it takes. Groups without a cell are left out.
    """
    jobs = [(name, axis) for name in forecasts for axis in range(len(TARGETS))]
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda job: _measure_target(yardsticks, forecasts[job[0]], *job), jobs)
        return [row for rows in found for row in rows]


def compute_intervals(
    yardsticks: Yardsticks, forecasts: Forecasts, axis: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Bounds of one target in the judged cells, float32 (n_levels, n_cells); NaN where there are none yet."""
    held, volatility = yardsticks.held, yardsticks.volatility[..., axis]
    lower, upper = walk_intervals(held.actual[..., axis], forecasts[..., axis], volatility)
    return lower[:, held.cells], upper[:, held.cells]


def _measure_target(yardsticks: Yardsticks, forecasts: Forecasts, name: str, axis: int) -> list[Row]:
    terms = _work_out_terms(yardsticks, forecasts, axis)
    stacked = np.stack(list(terms.values()), axis=1)
    rows: list[Row] = []
    for cohort, matrix in zip(yardsticks.cohorts, yardsticks.sums, strict=True):
        n_groups = len(cohort.labels)
        by_session = (matrix @ stacked).reshape(-1, n_groups, len(terms))
        for span, first in yardsticks.spans:
            sums = dict(zip(terms, by_session[first:].sum(axis=0).T, strict=True))
            measured = _divide_sums(sums) | {"rmsse": _measure_rmsse(yardsticks, cohort, terms, first)}
            for number in np.flatnonzero(sums["known"]):
                said: Row = {
                    "model": name,
                    "target": TARGETS[axis],
                    "cohort": cohort.name,
                    "group": cohort.labels[number],
                }
                said |= {"sessions": span, "cells": int(sums["known"][number])}
                rows.append(said | {metric: float(measured[metric][number]) for metric in METRICS})
    return rows


def _work_out_terms(yardsticks: Yardsticks, forecasts: Forecasts, axis: int) -> dict[str, Floats]:
    """Work out each judged cell's part in every sum, float64 (n_cells,), 0 where it has none."""
    held = yardsticks.held
    y, said = (values[held.cells][:, axis].astype(np.float64) for values in (held.actual, forecasts))
    known = np.isfinite(said)
    y, said = np.where(known, y, 0.0), np.where(known, said, 0.0)
    errors = y - said
    price, forecast_price = yardsticks.last_close * np.exp(y), yardsticks.last_close * np.exp(said)
    misses = price - forecast_price
    scaled = known & (yardsticks.absolute_scale[:, axis] > 0)
    squared = known & (yardsticks.squared_scale[:, axis] > 0)
    terms: dict[str, Floats] = {
        "known": known.astype(np.float64),
        "error": errors,
        "absolute": np.abs(errors),
        "last_close": np.abs(y),
        "scaled": _divide(np.abs(misses), yardsticks.absolute_scale[:, axis], scaled),
        "has_scale": scaled.astype(np.float64),
        "squared": _divide(np.square(misses), yardsticks.squared_scale[:, axis], squared),
        "has_square": squared.astype(np.float64),
        "symmetric": np.abs(misses) / (price + forecast_price),
        "agreement": np.sign(y) * np.sign(said),
        "moved": (y != 0).astype(np.float64),
    }
    return terms | _work_out_interval_terms(y, *compute_intervals(yardsticks, forecasts, axis))


def _work_out_interval_terms(
    y: Floats, lower: npt.NDArray[np.float32], upper: npt.NDArray[np.float32]
) -> dict[str, Floats]:
    """Work out the parts in the intervals' sums; bounds are (n_levels, n_cells)."""
    bounded = np.isfinite(lower).all(axis=0)
    terms: dict[str, Floats] = {"bounded": np.asarray(bounded, dtype=np.float64), "pinball": np.zeros(len(y))}
    for level, low, high in zip(LEVELS, lower.astype(np.float64), upper.astype(np.float64), strict=True):
        below, above = np.where(bounded, low - y, 0.0), np.where(bounded, y - high, 0.0)
        tail = (1 - level / 100) / 2
        terms[f"inside_{level}"] = (bounded & (below <= 0) & (above <= 0)).astype(np.float64)
        terms[f"width_{level}"] = np.where(bounded, high - low, 0.0)
        # The bounds' quantiles are tail and 1 - tail: what lies beyond a bound costs 1 - tail, what lies within, tail.
        beyond = np.maximum(below, 0.0) + np.maximum(above, 0.0)
        terms["pinball"] = terms["pinball"] + (beyond - tail * (below + above)) / (2 * len(LEVELS))
    return terms


def _divide_sums(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """Turn sums by group, (n_groups,) each, into metrics."""
    measured: dict[str, Floats] = {
        "mean_absolute_error": _divide(sums["absolute"], sums["known"]),
        "relative_error": _divide(sums["absolute"], sums["last_close"]),
        "mase": _divide(sums["scaled"], sums["has_scale"]),
        "smape": _divide(200 * sums["symmetric"], sums["known"]),
        "directional_accuracy": _divide((sums["moved"] + sums["agreement"]) / 2, sums["moved"]),
        "bias": _divide(sums["error"], sums["known"]),
        "pinball_loss": _divide(sums["pinball"], sums["bounded"]),
    }
    for level in LEVELS:
        measured[f"coverage_{level}"] = _divide(sums[f"inside_{level}"], sums["bounded"])
        measured[f"width_{level}"] = _divide(sums[f"width_{level}"], sums["bounded"])
    return measured


def _measure_rmsse(yardsticks: Yardsticks, cohort: Cohort, terms: Mapping[str, Floats], first: int) -> Floats:
    """Root mean squared scaled error of each symbol in each group, and their mean by group, (n_groups,)."""
    n_symbols, n_groups = yardsticks.held.actual.shape[1], len(cohort.labels)
    span = slice(int(np.searchsorted(yardsticks.session, first)), None)
    inside = cohort.codes[span] >= 0
    series = (cohort.codes[span] * n_symbols + yardsticks.symbol[span])[inside]
    squares, counts = (  # of no cells at all, bincount's sums are integers
        np.bincount(series, terms[name][span][inside], n_groups * n_symbols).astype(float).reshape(n_groups, n_symbols)
        for name in ("squared", "has_square")
    )
    roots = np.sqrt(np.divide(squares, counts, out=np.zeros_like(squares), where=counts > 0))
    return _divide(roots.sum(axis=1), (counts > 0).sum(axis=1).astype(np.float64))


def _divide(parts: Floats, whole: Floats, where: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Divide; where `where` is false the answer is 0, and NaN over zero where it is not given."""
    usable = whole > 0 if where is None else where
    fill = np.nan if where is None else 0.0
    return np.asarray(np.divide(parts, whole, out=np.full(len(parts), fill), where=usable))
