"""Raw windows from a dense cube of bars: any (origin, symbol) pairs of it by one gather.

The cube is float32, as the artifact's input is: its relative error of 6e-8 lies four orders below the smallest price
move that matters, and 730 sessions of 10,000 symbols take 175 MB where float64 would take 350. All windows of that cube
would take 1.7 GB, so pairs are chosen first and only the chosen windows are ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import WINDOW_COLUMNS

_OPEN, _CLOSE = WINDOW_COLUMNS.index("open"), WINDOW_COLUMNS.index("close")

Cube = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows in time order, by origin and then by symbol.

    Attributes
    ----------
    windows
        float32 (n, lookback, n_columns), the origin's session last; a session without a row is NaN, but for what is
        market-wide.
    targets
        float32 (n, 2), log(next open / last close) and log(next close / last close), or None where not asked for.
    symbol_index, origin_index
        int64 (n,): positions on the cube's symbol and session axes.
    """

    windows: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32] | None
    symbol_index: Indices
    origin_index: Indices

    def __len__(self) -> int:
        return len(self.windows)


def build_windows(
    cube: Cube, *, lookback: int, origins: Sequence[int], min_observed: int, with_targets: bool = True
) -> Windows:
    """Make every usable window that ends at one of the origins.

    A window is usable where its last session has a row and at least `min_observed` of its sessions have one; sessions
    before the cube's first count as absent.

    Parameters
    ----------
    cube
        (n_sessions, n_symbols, 6 + k), NaN where absent; what `models.market.join_market` puts behind the columns of
        bars goes into the windows like these.
    lookback
        Sessions in a window, at least 1.
    origins
        Positions of the windows' last sessions, increasing.
    min_observed
        1..lookback.
    with_targets
        Also leave out windows whose next session has no row, and give the targets. Scoring does without.

    Raises
    ------
    InputError
        If lookback, min_observed or an origin is out of range.
    """
    chosen = _usable_pairs(cube, lookback, origins, min_observed, with_targets)
    return _gather(cube, lookback, *chosen, with_targets)


def sample_windows(
    cube: Cube, *, lookback: int, origins: Sequence[int], min_observed: int, limit: int, seed: int
) -> Windows:
    """Make at most `limit` of the usable windows with targets, chosen evenly at random, still in time order.

    The same arguments give the same windows. Parameters are those of `build_windows`; only the chosen windows are made.
    """
    origin, symbol = _usable_pairs(cube, lookback, origins, min_observed, with_targets=True)
    if len(origin) > limit:
        picked = np.sort(np.random.default_rng(seed).choice(len(origin), size=limit, replace=False))
        origin, symbol = origin[picked], symbol[picked]
    return _gather(cube, lookback, origin, symbol, with_targets=True)


def _usable_pairs(
    cube: Cube, lookback: int, origins: Sequence[int], min_observed: int, with_targets: bool
) -> tuple[Indices, Indices]:
    """(origin, symbol) of every usable window, by origin and then by symbol."""
    ends = np.asarray(origins, dtype=np.int64)
    _require_in_range(cube, lookback, ends, min_observed)
    if with_targets:
        ends = ends[ends < len(cube) - 1]
    present = _is_present(cube)
    seen = np.zeros((len(cube) + 1, cube.shape[1]), dtype=np.int32)
    np.cumsum(present, axis=0, out=seen[1:])
    usable = present[ends] & (seen[ends + 1] - seen[np.maximum(ends + 1 - lookback, 0)] >= min_observed)
    if with_targets:
        usable &= present[ends + 1]
    row, symbol = np.nonzero(usable)
    return ends[row], symbol.astype(np.int64)


def _is_present(cube: Cube) -> npt.NDArray[np.bool_]:
    """Whether a symbol has a row in a session: bars have no row without prices, and no price that is not positive."""
    return np.asarray((cube[..., _OPEN] > 0) & (cube[..., _CLOSE] > 0))


def _gather(cube: Cube, lookback: int, origin: Indices, symbol: Indices, with_targets: bool) -> Windows:
    session = origin[:, None] + np.arange(1 - lookback, 1)
    windows = cube[np.maximum(session, 0), symbol[:, None]].astype(np.float32, copy=False)
    windows[session < 0] = np.nan
    targets = _targets(cube, origin, symbol) if with_targets else None
    return Windows(windows, targets, symbol, origin)


def _targets(cube: Cube, origin: Indices, symbol: Indices) -> npt.NDArray[np.float32]:
    last_close = cube[origin, symbol, _CLOSE].astype(np.float64)
    following = cube[origin + 1, symbol][:, (_OPEN, _CLOSE)].astype(np.float64)
    return np.asarray(np.log(following / last_close[:, None]), dtype=np.float32)


def _require_in_range(cube: Cube, lookback: int, ends: Indices, min_observed: int) -> None:
    if not 1 <= min_observed <= lookback:
        raise InputError(f"min_observed must be 1..lookback, which is {lookback}", value=min_observed)
    if len(ends) and (ends.min() < 0 or ends.max() >= len(cube)):
        raise InputError(f"origins must be sessions 0..{len(cube) - 1}", value=f"{ends.min()}..{ends.max()}")
    if (np.diff(ends) <= 0).any():
        raise InputError("origins must increase", value=ends.tolist()[:10])
