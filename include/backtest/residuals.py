"""Scaled errors of held-out forecasts, kept with a version: what its first intervals are calibrated on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from include.backtest.cohorts import measure_volatility
from include.backtest.heldout import Forecasts, HeldOut
from include.backtest.intervals import CALIBRATION_SESSIONS, scale_errors
from include.lake.bars import BarCube

RESIDUALS = "residuals.npz"
"""Name of the file and of the artifact."""


@dataclass(frozen=True)
class Residuals:
    """Errors of one target, sessions in order.

    Attributes
    ----------
    scores
        float32 (n_sessions, n_symbols), (actual - forecast) / volatility of log returns; NaN where none is known.
    volatility
        float32 (n_sessions, n_symbols), as known before each session.
    """

    scores: npt.NDArray[np.float32]
    volatility: npt.NDArray[np.float32]


def write_residuals(path: Path, cube: BarCube, held: HeldOut, forecasts: Forecasts) -> None:
    """Write the newest held-out sessions' residuals; `forecasts` is (n_sessions, n_symbols, 2) of log returns."""
    volatility = measure_volatility(cube.values, held.origins)
    scores = scale_errors(held.actual, forecasts, volatility).astype(np.float32)
    newest = slice(-CALIBRATION_SESSIONS, None)
    np.savez_compressed(path, scores=scores[newest], volatility=volatility[newest])


def read_residuals(path: Path, target: int) -> Residuals:
    """Read the residuals of one target, by its place in `schema.TARGETS`."""
    with np.load(path, allow_pickle=False) as found:
        return Residuals(found["scores"][..., target], found["volatility"][..., target])
