"""Market-wide columns: what one symbol's window cannot say, computed over all symbols of a session.

A model names those that it needs; its graph then takes them as a second input and keeps their names in its metadata.
One function computes them wherever windows are made: for fits, held-out sessions, leak tests and scoring. A session's
columns follow from its own bars and the closes before it, never from what came later, and before any choice of symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.protocol import WINDOW_COLUMNS, Floats

RETURN_COLUMNS = ("market_return", "dispersion")
"""In log return, of the close: the median over symbols, and the distance of the quartiles. One coin at 723 times its
price moves neither."""

MARKET_COLUMNS = (*RETURN_COLUMNS, "volume_rank", "turnover_rank", "cap_rank")
"""A rank is a symbol's among those of its session, -1 lowest to 1 highest; turnover is volume over market cap.

What is not known is 0, the middle of every column.
"""

_CLOSE, _VOLUME, _CAP = (WINDOW_COLUMNS.index(name) for name in ("close", "volume", "market_cap"))


def join_market(bars: Floats, names: Sequence[str]) -> Floats:
    """Put market-wide columns behind the columns of bars (n_sessions, n_symbols, 6); without names, give the bars."""
    if not names:
        return bars
    return np.concatenate([bars, measure_market(bars, names)], axis=-1)


def measure_market(bars: Floats, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Compute market-wide columns of every session and symbol.

    Parameters
    ----------
    bars
        (n_sessions, n_symbols, 6), columns as `WINDOW_COLUMNS`, NaN where a symbol has no row.
    names
        Some of `MARKET_COLUMNS`.

    Returns
    -------
    numpy.ndarray
        float32 (n_sessions, n_symbols, len(names)), finite. The first session has no returns.

    Raises
    ------
    ValueError
        A name is not one of `MARKET_COLUMNS`.
    """
    if unknown := [name for name in names if name not in MARKET_COLUMNS]:
        raise ValueError(f"market columns must be of {', '.join(MARKET_COLUMNS)}. Received: {unknown[0]}")
    columns = np.zeros((*bars.shape[:2], len(names)), dtype=np.float32)
    for session, today in enumerate(bars):
        before = bars[session - 1, :, _CLOSE] if session else np.full_like(today[:, _CLOSE], np.nan)
        returns = _measure_returns(today[:, _CLOSE], before)
        for axis, name in enumerate(names):
            columns[session, :, axis] = returns[name] if name in returns else _rank_column(today, name)
    return columns


def _measure_returns(close: Floats, before: Floats) -> dict[str, float]:
    """What returns from one session to the next say of a market; all of it 0 where no symbol has both closes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.log(close.astype(np.float64) / before)
    returns = returns[np.isfinite(returns)]
    if not len(returns):
        return dict.fromkeys(RETURN_COLUMNS, 0.0)
    low, median, high = np.percentile(returns, [25, 50, 75])
    return {"market_return": float(median), "dispersion": float(high - low)}


def _rank_column(today: Floats, name: str) -> Floats:
    volume, cap = today[:, _VOLUME].astype(np.float64), today[:, _CAP].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _rank({"volume_rank": volume, "turnover_rank": volume / cap, "cap_rank": cap}[name])


def _rank(values: Floats) -> Floats:
    """Ranks (n_symbols,) of what is finite and above zero, equal ones sharing their mean rank; 0 for the others."""
    known = np.isfinite(values) & (values > 0)
    ordered = np.sort(values[known])
    place = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
    return np.asarray(np.where(known, 2 * place / max(len(ordered), 1) - 1, 0.0))
