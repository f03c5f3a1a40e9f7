"""Forecasts as rows: every symbol has one for each horizon and target, and each says what led to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.errors import ClosecastError
from include.lake.bars import BarCube
from include.schema import BOUNDS, PREDICTIONS, TARGETS, Status
from include.scoring.plan import Plan
from include.scoring.universe import Universe

FALLBACK_REASON = "the model gave no finite number, so the last close stands"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forecasts:
    """What was worked out for the symbols of a cube.

    Attributes
    ----------
    log_returns
        float64 (n_symbols, n_horizons, 2) against the last close; NaN where the model was not asked or gave no number.
    volatility
        float64 (n_symbols, 2), the unit of the intervals, log return; NaN where it is not known.
    bounds
        float64 (n_symbols, n_horizons, 2, 4), log returns in the order of `schema.BOUNDS`; NaN without a calibration.
    reasons
        (n_symbols, 2), what the model itself says of a forecast that it does not give; else, and by default, None.
    """

    log_returns: Floats
    volatility: Floats
    bounds: Floats
    reasons: npt.NDArray[np.object_] | None = None


def build_rows(cube: BarCube, universe: Universe, forecasts: Forecasts, target_sessions: Sequence[date]) -> pa.Table:
    """Turn forecasts into rows, ordered by symbol, target session and target as `TARGETS` has them.

    Returns
    -------
    pyarrow.Table
        target_session, symbol, target, predicted, bounds, last_close, volatility, status, reason; numbers are null
        where there is no forecast.
    """
    horizons = len(target_sessions)
    each, shape = horizons * len(TARGETS), (len(cube.symbols), horizons, len(TARGETS))
    last = cube.last_close[:, None, None]
    asked = np.broadcast_to(universe.scoreable[:, None, None], shape)
    with np.errstate(over="ignore"):
        predicted = last * np.exp(forecasts.log_returns)
        # Intervals lie around what is published: where the last close stands in, around this.
        stands_in = asked & ~(np.isfinite(predicted) & (predicted > 0))
        shift = np.where(stands_in, 0.0, forecasts.log_returns)
        bounds = last[..., None] * np.exp(forecasts.bounds + shift[..., None])
    predicted = np.where(stands_in, last, predicted)
    bounds[~(asked[..., None] & np.isfinite(bounds))] = np.nan
    status = np.broadcast_to(universe.status[:, None, None], shape).copy()
    reason = np.broadcast_to(universe.reason[:, None, None], shape).copy()
    status[stands_in], reason[stands_in] = Status.FALLBACK.value, FALLBACK_REASON
    if forecasts.reasons is not None:
        told = np.broadcast_to(forecasts.reasons[:, None, :], shape)
        known = stands_in & told.astype(bool)
        reason[known] = told[known]
    volatility = np.broadcast_to(forecasts.volatility[:, None, :], shape)
    days = np.repeat(np.array(target_sessions, dtype="datetime64[D]"), len(TARGETS))
    columns = {
        "target_session": pa.array(np.tile(days, len(cube.symbols)), pa.date32()),
        "symbol": pa.array(np.repeat(cube.symbols, each), pa.string()),
        "target": pa.array(np.tile(np.array(TARGETS, dtype=object), len(cube.symbols) * horizons), pa.string()),
        "predicted": _numbers(predicted),
        **{name: _numbers(bounds[..., at]) for at, name in enumerate(BOUNDS)},
        "last_close": _numbers(np.broadcast_to(last, shape)),
        "volatility": _numbers(volatility),
        "status": pa.array(status.ravel(), pa.string()),
        "reason": pa.array(reason.ravel(), pa.string()),
    }
    return pa.table(columns)


def _numbers(values: npt.NDArray[np.floating]) -> pa.Array:
    return pa.array(np.asarray(values, dtype=np.float64).ravel(), from_pandas=True)


def check_rows(rows: pa.Table, *, symbols: int, horizons: int) -> None:
    """Make sure that nothing dropped out: symbols x horizons x targets, a number wherever one is promised.

    Raises
    ------
    ClosecastError
        A row or a number is missing.
    """
    expected = symbols * horizons * len(TARGETS)
    if rows.num_rows != expected:
        rule = f"a run must have a row for each of {symbols} symbols, {horizons} horizons and {len(TARGETS)} targets"
        raise ClosecastError(rule, value=rows.num_rows, place="predictions")
    promised = np.isin(np.asarray(rows["status"]), [Status.SCORED.value, Status.FALLBACK.value])
    missing = promised & np.asarray(rows["predicted"].is_null())
    if missing.any():
        symbol = rows["symbol"][int(missing.argmax())].as_py()
        raise ClosecastError("a scored row must have a price", value="none", place=f"predictions, symbol {symbol}")


def stamp_rows(rows: pa.Table, plan: Plan, scored_at: datetime) -> pa.Table:
    """Give each row what led to it: session, run, model, data, settings, environment, code."""
    model = plan.model
    constants = {
        "as_of": plan.as_of,
        "model_name": model.name,
        "model_version": model.version,
        "model_kind": model.kind,
        "lookback": model.lookback,
        "bars_version": plan.bars_version,
        "calibration_version": plan.calibration_version,
        "reference_version": plan.reference_version,
        "settings_hash": plan.settings_hash,
        "environment_hash": plan.environment_hash,
        "code_version": plan.code_version,
        "shards": plan.shards,
        "run_id": plan.run_id,
        "scored_at": scored_at,
        "upload_sha256": None,  # bars were read
    }
    for name, value in constants.items():
        field = PREDICTIONS.field(name)
        rows = rows.append_column(field, pa.repeat(pa.scalar(value, field.type), rows.num_rows))
    return rows.select(PREDICTIONS.names)
