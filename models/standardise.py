"""What all learned models do around their learning: features, standardised targets and weights before, drift after.

A constant that is learned from a million windows may still be the luck of a few hundred sessions, in which the whole
market rose or fell together. So a fitted model's median forecast is kept in so far as the signs of the targets leaned
the same way in all parts of the time that was learned from, and the rest is taken off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.features import CLIP, compute_features
from models.protocol import Floats

_FEWEST_WINDOWS = 20
_PARTS = 20  # of the windows, in time order
_MOST_ASKED = 16_384  # windows whose forecasts give the median


@dataclass(frozen=True)
class Lesson:
    """Windows and what followed them, as every learned model learns from them; computed once for all of an ensemble.

    Attributes
    ----------
    features, units
        float32 (n, lookback - 1, 8 and the market-wide columns) and (n, 1), as `models.features` computes them.
    targets
        (n, 2), log returns.
    """

    features: Floats
    units: Floats
    targets: Floats

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def standardised(self) -> Floats:
        """Targets (n, 2) in units of volatility."""
        return standardise_targets(self.targets, self.units)

    @cached_property
    def importance(self) -> Floats:
        """What a window weighs, (n,), 1 on average: its unit, since errors are judged in log return."""
        return np.asarray(self.units[:, 0] / self.units.mean())

    @cached_property
    def drift_trust(self) -> Floats:
        """Share of a constant forecast of each target that is no luck of a few sessions, (2,), 0..1.

        The lean of a part is the mean sign of its targets, by importance. Of their mean over the parts, t standard
        errors from zero, 1 - 1 / t² is kept, none where that is negative (W. James and C. Stein, Proc. Fourth Berkeley
        Symp. 1, 1961, p. 361, in one dimension).
        """
        signs = np.sign(self.targets) * self.importance[:, None]
        leans = np.stack([part.mean(axis=0, dtype=np.float64) for part in np.array_split(signs, _PARTS)])
        variance = np.maximum(leans.var(axis=0, ddof=1) / _PARTS, 1e-12)
        squared = np.maximum(np.square(leans.mean(axis=0)), 1e-12)
        return np.asarray(np.maximum(1 - variance / squared, 0.0))

    def excess_drift(self, forecast: Callable[[Floats], Floats]) -> Floats:
        """What to take off a fitted model's forecasts, (2,), in units of volatility.

        Parameters
        ----------
        forecast
            From features (n, lookback - 1, 8) to forecasts (n, 2) in units of volatility.
        """
        asked = self.features[:: -(-len(self) // _MOST_ASKED)]
        return np.asarray((1 - self.drift_trust) * np.median(forecast(asked), axis=0))


def prepare_lesson(windows: Floats, targets: Floats, market: tuple[str, ...] = ()) -> Lesson:
    """Compute the features of windows (n, lookback, 6 and the market-wide columns named) with targets (n, 2).

    Raises
    ------
    ValueError
        If there are fewer than 20 windows.
    """
    if len(windows) < _FEWEST_WINDOWS:
        raise ValueError(f"a fit needs at least {_FEWEST_WINDOWS} windows. Received: {len(windows)}")
    return Lesson(*compute_features(windows, market), targets)


def standardise_targets(targets: Floats, units: Floats) -> Floats:
    """Divide log returns (n, 2) by the window's volatility (n, 1), clipped as forecasts are, so that none dominates."""
    return np.asarray(np.clip(targets / units, -CLIP, CLIP))
