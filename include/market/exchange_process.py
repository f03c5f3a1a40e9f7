"""How prices and volumes of the simulated exchange move: the signal, the noise and the loop over sessions.

All arrays are (sessions, symbols). With gap g_t = log(open_t / close_{t-1}), body b_t = log(close_t / open_t), bounded
body c_t = clip(b_t, -0.5, 0.5) and volume change dv_t = log(volume_t / volume_{t-1}):

    E[g_{t+1} | t]                      = s (0.25 c_t + 0.10 c_{t-1} + 0.28 c_t tanh(dv_t))
    E[log(close_{t+1} / close_t) | t]   = E[g_{t+1} | t] + s 0.10 c_t

The bound keeps one jump of hundreds of times from deciding the next open; no gap feeds into a body, so bodies are a
stable autoregression for every s below 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and what is being done."""

BODY_BOUND = 0.5
GAP_BY_BODY, GAP_BY_EARLIER_BODY, GAP_BY_BODY_AND_VOLUME = 0.25, 0.10, 0.28
BODY_BY_BODY = 0.10

_GAP_NOISE = 0.6  # of the symbol's volatility; the body's noise is 1
_MARKET_SHARE = 0.3  # of the noise's variance
_VOLUME_MEMORY, _VOLUME_NOISE = 0.5, 0.8


@dataclass(frozen=True)
class Shocks:
    """What the market does to a symbol from outside; all-False and all-zero in a clean exchange.

    Parameters
    ----------
    halted
        bool, (sessions, symbols): no trade, the price stays.
    jumps
        log return added to the body, (sessions, symbols).
    """

    halted: NDArray[np.bool_]
    jumps: NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """Bars of every symbol in every session, listed or not, each array (sessions, symbols)."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def expect_returns(
    bodies: NDArray[np.float64],
    earlier_bodies: NDArray[np.float64],
    volume_changes: NDArray[np.float64],
    *,
    signal: float,
) -> NDArray[np.float64]:
    """Give the expected log returns of the next open and the next close against the last close.

    Parameters
    ----------
    bodies, earlier_bodies
        log(close / open) of a session and of the one before, of any one shape.
    volume_changes
        log(volume / volume of the session before), of the same shape.
    signal
        Size of the signal; 0 gives zeros.

    Returns
    -------
    numpy.ndarray
        float64, (*shape, 2): open, close.
    """
    body = np.clip(bodies, -BODY_BOUND, BODY_BOUND)
    earlier = np.clip(earlier_bodies, -BODY_BOUND, BODY_BOUND)
    slope = GAP_BY_BODY + GAP_BY_BODY_AND_VOLUME * np.tanh(volume_changes)
    gap = signal * (slope * body + GAP_BY_EARLIER_BODY * earlier)
    return np.stack([gap, gap + signal * BODY_BY_BODY * body], axis=-1)


def walk_prices(
    rng: np.random.Generator, shocks: Shocks, *, signal: float, on_progress: Progress | None = None
) -> Walk:
    """Simulate bars session by session, all symbols at once.

    Parameters
    ----------
    rng
        Source of every draw.
    shocks
        Halts and jumps; their shape is the exchange's.
    signal
        Size of the signal.
    on_progress
        Told after every session.

    Returns
    -------
    Walk
        Positive, low <= open, close <= high; volumes are whole numbers, 1 or more.
    """
    sessions, symbols = shocks.halted.shape
    walk = Walk(*(np.empty((sessions, symbols)) for _ in range(5)))
    sigma = 0.04 * np.exp(0.35 * rng.standard_normal(symbols))
    level = np.log(10.0) * rng.uniform(-8, 5, symbols)
    usual_volume = rng.normal(13.0, 2.0, symbols)
    log_volume = rng.standard_normal(symbols)
    expected = np.zeros((symbols, 2))
    body = np.zeros(symbols)
    for t in range(sessions):
        trades = ~shocks.halted[t]
        gap = trades * (expected[:, 0] + _GAP_NOISE * sigma * _draw_noise(rng, symbols))
        drift = expected[:, 1] - expected[:, 0]
        earlier, body = body, trades * (drift + sigma * _draw_noise(rng, symbols) + shocks.jumps[t])
        walk.open[t] = np.exp(level + gap)
        level = level + gap + body
        walk.close[t] = np.exp(level)
        log_volume = _VOLUME_MEMORY * log_volume + _VOLUME_NOISE * rng.standard_normal(symbols)
        walk.volume[t] = np.maximum(np.rint(np.exp(usual_volume + log_volume)), 1.0)
        _draw_range(rng, walk, t, trades * sigma)
        change = np.log(walk.volume[t] / walk.volume[t - 1]) if t else np.zeros(symbols)
        expected = expect_returns(body, earlier, change, signal=signal)
        if on_progress is not None:
            on_progress(t + 1, sessions, "simulating sessions")
    return walk


def _draw_noise(rng: np.random.Generator, symbols: int) -> NDArray[np.float64]:
    """Draw standard normal numbers that share a market factor."""
    own = rng.standard_normal(symbols)
    return np.asarray(np.sqrt(_MARKET_SHARE) * rng.standard_normal() + np.sqrt(1 - _MARKET_SHARE) * own)


def _draw_range(rng: np.random.Generator, walk: Walk, t: int, sigma: NDArray[np.float64]) -> None:
    """Fill high and low of a session around its open and close; a halted session (sigma 0) stays flat."""
    reach = np.exp(0.5 * sigma * np.abs(rng.standard_normal((2, len(sigma)))))
    walk.high[t] = np.maximum(walk.open[t], walk.close[t]) * reach[0]
    walk.low[t] = np.minimum(walk.open[t], walk.close[t]) / reach[1]
