"""Small cubes of bars that walk at random, for tests of what is trained and judged on them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from include.lake.bars import BarCube


def build_cube(values: npt.NDArray[np.float32]) -> BarCube:
    """Give bars (n_sessions, n_symbols, 6) as a cube, a day a session."""
    n_sessions, n_symbols = values.shape[:2]
    days = [date(2026, 1, 1) + timedelta(days=k) for k in range(n_sessions)]
    symbols = np.array([f"S{k:03}" for k in range(n_symbols)], dtype=object)
    last_close = values[-1, :, 3].astype(np.float64)
    return BarCube(values, days, symbols, last_close, np.full(n_symbols, n_sessions - 1), 4)


def walk_bars(sessions: int, symbols: int, *, seed: int = 0, gaps: float = 0.0) -> npt.NDArray[np.float32]:
    """Draw bars (n_sessions, n_symbols, 6) whose close walks, each symbol with a volatility of its own."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, np.linspace(0.005, 0.05, symbols), (sessions, symbols))
    close = 100 * np.exp(np.cumsum(steps, axis=0))
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(0.3 * rng.normal(size=steps.shape) * np.abs(steps))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    cap = close * np.geomspace(1e3, 1e6, symbols)
    values = np.stack([opened, high, low, close, np.full_like(close, 1e4), cap], axis=-1).astype(np.float32)
    values[rng.random((sessions, symbols)) < gaps] = np.nan
    return values
