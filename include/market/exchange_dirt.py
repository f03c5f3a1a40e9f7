"""What is wrong with the bars of a real file, at the rates measured in real ones.

docs/simulated_exchange.md says which rate comes from which file. All masks are (sessions, symbols); every symbol's dirt
is drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.market.exchange_process import Shocks, Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GAP_SESSIONS = 85
"""Missing bars in one gap at most: a step of 86 days. Two gaps can touch."""

LARGEST_JUMP = np.log(723.0)


@dataclass(frozen=True)
class Dirt:
    """What is missing from or wrong with the published bars, each a mask (sessions, symbols).

    Parameters
    ----------
    no_bar
        A gap: the market traded, the bar never came.
    zero_volume, no_volume, no_cap
        Volume 0, volume missing, market cap missing.
    low_above
        Low above open and close by rounding.
    twice, twice_different
        A second row of the same symbol and session, from another source; where `twice_different`, with other numbers.
    """

    no_bar: NDArray[np.bool_]
    zero_volume: NDArray[np.bool_]
    no_volume: NDArray[np.bool_]
    no_cap: NDArray[np.bool_]
    low_above: NDArray[np.bool_]
    twice: NDArray[np.bool_]
    twice_different: NDArray[np.bool_]


def draw_listings(rng: np.random.Generator, shape: tuple[int, int], *, clean: bool) -> NDArray[np.bool_]:
    """Draw who is listed when, (sessions, symbols): 18 % come later, 1.4 % go, a few (never if clean) live one day."""
    sessions, symbols = shape
    start = np.where(rng.random(symbols) < 0.18, rng.integers(0, sessions, symbols), 0)
    goes = rng.random(symbols) < 0.014
    stop = np.where(goes, start + 1 + rng.integers(0, sessions, symbols), sessions)
    once = (rng.random(symbols) < 0.0025) & (not clean)
    stop = np.where(once, start + 1, stop)
    t = np.arange(sessions)[:, None]
    listed: NDArray[np.bool_] = (t >= start) & (t < stop)
    return listed


def draw_shocks(rng: np.random.Generator, shape: tuple[int, int], *, clean: bool) -> Shocks:
    """Draw halts (half of all zero volumes) and jumps: two kinds, the rarer one with moves of hundreds of times."""
    if clean:
        return Shocks(np.zeros(shape, dtype=bool), np.zeros(shape))
    halts = _draw_episodes(rng, shape, symbol_share=0.08, rate=0.0076, longest=5, tail=1.0)
    jumps = np.zeros(shape)
    for rate, mean in ((0.004, 0.35), (0.0005, 0.95)):
        at = _draw_rows(rng, shape, rate)
        jumps[at] += rng.choice([-1.0, 1.0], len(at[0])) * np.minimum(rng.exponential(mean, len(at[0])), LARGEST_JUMP)
    return Shocks(halts, jumps)


def draw_dirt(rng: np.random.Generator, walk: Walk, halted: NDArray[np.bool_], *, clean: bool) -> Dirt:
    """Draw the dirt of every bar; none if clean."""
    shape = walk.open.shape
    if clean:
        return Dirt(*(np.zeros(shape, dtype=bool) for _ in range(7)))
    twice = _draw_window(rng, shape, symbol_share=0.061, session_share=0.163)
    return Dirt(
        no_bar=_draw_episodes(rng, shape, symbol_share=0.19, rate=0.0142, longest=MAX_GAP_SESSIONS, tail=1.3),
        zero_volume=halted | (_draw_symbols(rng, shape, 0.08) & (rng.random(shape) < 0.02)),
        no_volume=_draw_window(rng, shape, symbol_share=0.0056, session_share=0.74),
        no_cap=_draw_symbols(rng, shape, 0.10) | _draw_window(rng, shape, symbol_share=0.31, session_share=0.13),
        low_above=(walk.close > 2e-9) & (walk.close < 1e-6) & (rng.random(shape) < 0.0007),
        twice=twice,
        twice_different=twice & (rng.random(shape) < 0.3),
    )


def _draw_rows(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> tuple[NDArray[np.int64], ...]:
    """Choose different rows at a rate: positions in sessions and in symbols."""
    size = shape[0] * shape[1]
    chosen = np.unique(rng.integers(0, size, rng.binomial(size, rate)))
    return np.unravel_index(chosen, shape)


def _draw_symbols(rng: np.random.Generator, shape: tuple[int, int], share: float) -> NDArray[np.bool_]:
    """Choose a share of the symbols, as one row that spreads over all sessions."""
    return np.asarray(rng.random((1, shape[1])) < share)


def _draw_window(
    rng: np.random.Generator, shape: tuple[int, int], *, symbol_share: float, session_share: float
) -> NDArray[np.bool_]:
    """Choose one stretch of sessions for a share of the symbols."""
    length = max(1, round(session_share * shape[0]))
    start = rng.integers(0, shape[0] - length + 1, shape[1])
    t = np.arange(shape[0])[:, None]
    inside: NDArray[np.bool_] = (t >= start) & (t < start + length) & _draw_symbols(rng, shape, symbol_share)
    return inside


def _draw_episodes(
    rng: np.random.Generator, shape: tuple[int, int], *, symbol_share: float, rate: float, longest: int, tail: float
) -> NDArray[np.bool_]:
    """Choose stretches in a share of the symbols, P(length >= n) = n ** -tail, begun at a rate per row."""
    prone = np.flatnonzero(_draw_symbols(rng, shape, symbol_share)[0])
    edges = np.zeros((shape[0] + 1, shape[1]), dtype=np.int32)
    starts, which = _draw_rows(rng, (shape[0], len(prone)), rate) if len(prone) else (np.zeros(0, int),) * 2
    lengths = np.minimum((1 - rng.random(len(starts))) ** (-1 / tail), longest).astype(np.int64)
    np.add.at(edges, (starts, prone[which]), 1)
    np.add.at(edges, (np.minimum(starts + lengths, shape[0]), prone[which]), -1)
    inside: NDArray[np.bool_] = np.cumsum(edges[:-1], axis=0) > 0
    return inside
