"""A panel of series as rough as real ones."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def prices() -> np.ndarray:
    """(60, 30): dear and cheap, with holes of every length; absent, one price, first, last, and prices that stand."""
    generator = np.random.default_rng(11)
    levels = np.exp(generator.normal(0, 6, (60, 1)) + np.cumsum(generator.normal(0, 0.05, (60, 30)), axis=1))
    levels[generator.random(levels.shape) < np.linspace(0, 0.9, 60)[:, None]] = np.nan
    levels[0] = np.nan
    levels[1, :-9], levels[1, -8:] = np.nan, np.nan
    levels[2, :25] = np.nan
    levels[3, 12:] = np.nan
    levels[4] = 7.0
    levels[5, 10:20] = np.nan
    levels[6, [3, 9, 15]] = 0.0, -2.0, np.inf
    return levels
