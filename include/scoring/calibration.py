"""How wide a scoring run's intervals are: a calibration is made from the newest errors that were known, and kept.

Its errors are the outcomes of the newest sessions, whichever version served in them; where there are fewer than are
wanted, the version's own held-out residuals, kept with it at its registration, stand before them. One row a target and
horizon in `calibrations`; a forecast names the version that its bounds come from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from include.backtest.intervals import (
    CALIBRATION_SESSIONS,
    FEWEST_SESSIONS,
    Calibration,
    fit_calibration,
    lay_intervals,
)
from include.backtest.residuals import RESIDUALS, Residuals, read_residuals
from include.errors import NotFoundError
from include.lake.compact import compact_small
from include.lake.dense import read_floats
from include.lake.files import list_sessions
from include.lake.reads import list_files, read_partitions, read_where
from include.lake.tables import CALIBRATIONS, OUTCOMES, append_rows, find_table
from include.registry.artifact import ModelVersion
from include.registry.reference import fetch_beside
from include.schema import LEVELS, TARGETS
from include.settings import Settings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibrated:
    """One version of the calibration: by horizon and target."""

    version: int
    parts: Mapping[tuple[int, str], Calibration]

    def lay(self, horizon: int, target: str, volatility: Floats) -> Floats:
        """Return bounds around a forecast of zero.

        Parameters
        ----------
        horizon, target
            Which; NaN where they were not calibrated.
        volatility
            (n_symbols,), log return, NaN where it is not known.

        Returns
        -------
        numpy.ndarray
            float64 (n_symbols, 4), log returns in the order of `schema.BOUNDS`.
        """
        part = self.parts.get((horizon, target))
        if part is None:
            return np.full((len(volatility), 2 * len(LEVELS)), np.nan)
        lower, upper = lay_intervals(part, np.zeros(len(volatility), dtype=np.float32), volatility)
        return np.stack([side[at] for at in range(len(LEVELS)) for side in (lower, upper)], axis=1).astype(np.float64)


def current_calibration(settings: Settings, model: ModelVersion, as_of: date) -> Calibrated | None:
    """Return the calibration for a version by what was known at a session; made and kept where it is not there yet.

    Returns
    -------
    Calibrated or None
        None where fewer than `FEWEST_SESSIONS` sessions have known errors.
    """
    settled = _settled_sessions(settings, as_of)
    through = settled[-1] if settled else as_of
    known = _find(settings, model, through)
    if known is not None:
        return known
    with FileLock(settings.lake / ".calibrations.lock"):
        return _find(settings, model, through) or _make(settings, model, settled, through)


def load_calibration(settings: Settings, version: int | None) -> Calibrated | None:
    """Read a calibration by its version; None for None.

    Raises
    ------
    NotFoundError
        There is no such version.
    """
    if version is None:
        return None
    opened = find_table(settings.lake, CALIBRATIONS)
    found = _build(read_where(opened, "version", version, version)) if opened else None
    if found is None:
        raise NotFoundError("a calibration must be there", value=version, place=CALIBRATIONS.name)
    return found


def _settled_sessions(settings: Settings, as_of: date) -> list[date]:
    """Return the newest sessions up to one that have outcomes, oldest first, as many as are calibrated on."""
    opened = find_table(settings.lake, OUTCOMES)
    return [day for day in list_sessions(opened) if day <= as_of][-CALIBRATION_SESSIONS:] if opened else []


def _find(settings: Settings, model: ModelVersion, through: date) -> Calibrated | None:
    opened = find_table(settings.lake, CALIBRATIONS)
    if opened is None:
        return None
    rows = read_where(opened, "through", through, through)
    rows = rows.filter((pc.field("model_name") == model.name) & (pc.field("model_version") == model.version))
    if not rows.num_rows:
        return None
    return _build(rows.filter(pc.field("version") == pc.max(rows["version"])))


def _find_previous(settings: Settings, model: ModelVersion, through: date) -> Calibrated | None:
    """Return what the forecasts of the session `through` were laid by: the newest of the version made before it."""
    opened = find_table(settings.lake, CALIBRATIONS)
    if opened is None:
        return None
    rows = read_where(opened, "through", through - timedelta(days=30), through - timedelta(days=1))
    rows = rows.filter((pc.field("model_name") == model.name) & (pc.field("model_version") == model.version))
    rows = rows.filter(pc.field("through") == pc.max(rows["through"]))
    return _build(rows.filter(pc.field("version") == pc.max(rows["version"])))


def _build(rows: pa.Table) -> Calibrated | None:
    found = rows.to_pylist()
    if not found:
        return None
    parts = {(row["horizon"], row["target"]): Calibration.from_json(json.loads(row["payload"])) for row in found}
    return Calibrated(int(found[0]["version"]), parts)


def _make(settings: Settings, model: ModelVersion, settled: list[date], through: date) -> Calibrated | None:
    opened = find_table(settings.lake, CALIBRATIONS)
    version = int(pc.max(list_files(opened)["max.version"]).as_py()) + 1 if opened else 1
    kept = fetch_beside(settings, model, RESIDUALS, model.residuals_sha256) if model.residuals_sha256 else None
    columns = ["target_session", "symbol", "horizon", "target", "scaled_error", "volatility"]
    outcomes = find_table(settings.lake, OUTCOMES)
    rows = read_partitions(outcomes, "target_session", settled, columns=columns) if outcomes and settled else None
    previous = _find_previous(settings, model, through)
    said: list[dict[str, Any]] = []
    for horizon in range(1, model.horizons + 1):
        for at, target in enumerate(TARGETS):
            own = _gather(rows, settled, horizon, target) if rows else None
            # A residual of one session ahead says nothing about five.
            older = read_residuals(kept, at) if kept and horizon == 1 else None
            pooled = _join(older, own)
            if pooled is None or len(pooled.scores) < FEWEST_SESSIONS:
                continue
            # Only what a run's own forecasts came to moves the share outside.
            last = previous.parts.get((horizon, target)) if previous and own else None
            payload = json.dumps(fit_calibration(pooled.scores, pooled.volatility, previous=last).to_json())
            counts = {"sessions": len(pooled.scores), "own_sessions": len(own.scores) if own else 0}
            said.append({"horizon": horizon, "target": target, "payload": payload} | counts)
    if not said:
        return None
    shared = {"version": version, "model_name": model.name, "model_version": model.version, "through": through}
    made = pa.Table.from_pylist([shared | row | {"made_at": datetime.now(UTC)} for row in said], CALIBRATIONS.schema)
    append_rows(settings.lake, CALIBRATIONS, made)
    compact_small(settings.lake, CALIBRATIONS)
    return _build(made)


def _gather(rows: pa.Table, sessions: list[date], horizon: int, target: str) -> Residuals | None:
    """Put outcomes of one horizon and target into rows of sessions; each as wide as the widest, NaN at its end."""
    chosen = rows.filter((pc.field("horizon") == horizon) & (pc.field("target") == target)).sort_by("target_session")
    if not chosen.num_rows:
        return None
    days = chosen["target_session"].cast(pa.int32()).to_numpy()
    _, place, counts = np.unique(days, return_inverse=True, return_counts=True)
    column = np.arange(len(days)) - np.repeat(np.cumsum(counts) - counts, counts)
    scores, volatility = (np.full((len(counts), counts.max()), np.nan, dtype=np.float32) for _ in range(2))
    scores[place, column] = read_floats(chosen, "scaled_error")
    volatility[place, column] = read_floats(chosen, "volatility")
    return Residuals(scores, volatility)


def _join(older: Residuals | None, newer: Residuals | None) -> Residuals | None:
    """Put the older sessions before the newer ones, and keep the newest that are calibrated on."""
    if older is None or newer is None:
        return newer if older is None else older
    wanted = CALIBRATION_SESSIONS - len(newer.scores)
    if wanted <= 0:
        return newer
    width = max(older.scores.shape[1], newer.scores.shape[1])
    scores, volatility = (
        np.concatenate([_widen(first[-wanted:], width), _widen(second, width)])
        for first, second in ((older.scores, newer.scores), (older.volatility, newer.volatility))
    )
    return Residuals(scores, volatility)


def _widen(values: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=np.nan)
