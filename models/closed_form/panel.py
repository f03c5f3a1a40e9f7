"""Many series and several windows of each, with the holes dealt with once for all forecasters.

Forecasters work on the logarithm of the price: what they add is then a return, no forecast of a price can be negative,
and a 1e-7 coin is served like a 1e5 coin. A window ends at its origin's session, which is in it; the session after the
origin is forecast. Sums over windows are matrix products with a (n_sessions, n_windows) matrix of weights, so all
windows cost one pass; what lies outside a window has weight zero and cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.protocol import Floats

Booleans = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """Log prices of many series, and where the windows lie in them.

    Attributes
    ----------
    prices
        float64 (n_series, n_sessions), zero in a hole.
    values
        float64 (n_series, n_sessions), log price, zero in a hole.
    known
        Where there is a price, (n_series, n_sessions).
    origins
        (n_windows,), position of each window's last session.
    lookback
        Sessions in a window; those before the panel's first count as holes.
    """

    prices: Floats
    values: Floats
    known: Booleans
    origins: Indices
    lookback: int

    @property
    def starts(self) -> Indices:
        """(n_windows,), position of each window's first session."""
        return np.maximum(self.origins - self.lookback + 1, 0)

    @property
    def ages(self) -> Indices:
        """Sessions from each session to each origin, (n_sessions, n_windows): 0 at the origin, negative after it."""
        return np.asarray(self.origins - np.arange(self.values.shape[1])[:, None])

    @cached_property
    def last_at(self) -> Indices:
        """Position of the newest price in each window, (n_series, n_windows), -1 where there is none."""
        return self.newest_known(self.origins, self.starts)

    @cached_property
    def last(self) -> Floats:
        """Newest log price in each window, (n_series, n_windows), NaN where there is none."""
        return self.at(self.last_at)

    def at(self, positions: Indices) -> Floats:
        """Take the log prices at positions (n_series, n_windows), NaN where a position is -1."""
        taken = np.take_along_axis(self.values, np.maximum(positions, 0), axis=1)
        return np.where(positions < 0, np.nan, taken)

    def newest_known(self, ends: Indices, starts: Indices, step: int = 1) -> Indices:
        """Find the newest price of each window at its end or whole steps before it, but not before its start.

        Returns
        -------
        (n_series, n_windows), -1 where there is none.
        """
        found = np.full((len(self.known), len(ends)), -1)
        for window, (end, start) in enumerate(zip(ends.tolist(), starts.tolist(), strict=True)):
            backwards = self.known[:, start : max(end + 1, start)][:, ::-step]
            if backwards.shape[1]:
                steps = backwards.argmax(axis=1)
                some = backwards[np.arange(len(backwards)), steps]
                found[:, window] = np.where(some, end - step * steps, -1)
        return found

    def weighted_mean(self, weights: Floats) -> Floats:
        """Mean of each window's known log prices by weights (n_sessions, n_windows), NaN where none has a weight.

        Returns
        -------
        (n_series, n_windows).
        """
        sums, totals = self.values @ weights, self.known.astype(np.float64) @ weights
        return np.asarray(np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0))

    def mean_over_pairs(self, differences: Floats) -> Floats:
        """Mean of what each window's neighbouring sessions differ by, of those pairs of which both have a price.

        Parameters
        ----------
        differences
            (n_series, n_sessions - 1), finite everywhere.

        Returns
        -------
        (n_series, n_windows), NaN where a window has no such pair.
        """
        known, inside = self.known[:, 1:] & self.known[:, :-1], self.in_window(skip=1)[1:]
        sums, counts = (differences * known) @ inside, known.astype(np.float64) @ inside
        return np.asarray(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))

    def in_window(self, newest: int | None = None, *, skip: int = 0) -> Floats:
        """Weights (n_sessions, n_windows): 1 in the window, or its `newest` sessions, but its first `skip`; else 0."""
        ages = self.ages
        length = np.minimum(self.lookback, self.origins + 1) - skip
        return ((ages >= 0) & (ages < length) & (ages < (newest or self.lookback))).astype(np.float64)

    def or_last(self, forecast: Floats) -> Floats:
        """Fill a forecast's NaN with the window's newest log price: all forecasters answer for the same windows."""
        return np.where(np.isnan(forecast), self.last, forecast)


def build_panel(prices: Floats, origins: Sequence[int], lookback: int) -> Panel:
    """Take logarithms and mark the holes.

    Parameters
    ----------
    prices
        (n_series, n_sessions). What is NaN, infinite, zero or negative is a hole.
    origins
        Positions of the windows' last sessions.
    lookback
        Sessions in a window, at least 1.

    Raises
    ------
    ValueError
        If lookback or an origin is out of range.
    """
    positions = np.asarray(origins, dtype=np.int64)
    n_sessions = np.shape(prices)[1]
    if lookback < 1:
        raise ValueError(f"lookback must be 1 or more. Received: {lookback}")
    outside = [each for each in positions.tolist() if not 0 <= each < n_sessions]
    if outside:
        raise ValueError(f"origins must be 0..{n_sessions - 1}, positions of sessions. Received: {outside}")
    prices = np.asarray(prices, dtype=np.float64)
    known = (prices > 0) & (prices < np.inf)
    values = np.log(prices, out=np.zeros_like(prices), where=known)
    return Panel(np.where(known, prices, 0.0), values, known, positions, lookback)
