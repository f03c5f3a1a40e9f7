"""What of a session is compared with the sessions that a model has seen: scale-free columns, a number a symbol each.

Prices and volumes themselves say nothing across a universe in which one coin costs 1e-7 and another 1e5, so every
column is a log ratio or a share. Some hold the whole market's move (a feed that is 5 % off shows there), some have it
taken out: what is left is steadier from session to session, so that smaller faults show.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.schema import WINDOW_COLUMNS

Floats = npt.NDArray[np.float32]

COLUMNS = (
    "close_return",  # log(close / last close)
    "open_gap",  # log(open / last close)
    "body",  # log(close / open)
    "range",  # log(high / low)
    "close_place",  # log(close / low) / range
    "open_place",  # log(open / low) / range
    "own_return",  # close_return less its median over the symbols, in units of the median of what is left
    "gap_share",  # of gap and body, each less its median: |gap| / (|gap| + |body|)
    "volume_change",  # log(volume / last volume)
    "volume_level",  # log(volume / mean volume of the sessions before)
    "turnover",  # log(volume / market cap)
    "cap_change",  # log(market cap / last market cap)
)
"""Columns whose whole distribution is compared."""

OWN_COLUMNS = ("own_return", "gap_share")
"""Those of `COLUMNS` that have the market's move and its volatility taken out. The others move with the market."""

SHARES = (
    "no_volume",  # symbols whose volume is missing
    "no_market_cap",
    "zero_volume",
    "flat",  # high = low
    "same_close",  # close = close of the session before
    "same_prices",  # all four prices as in the session before, though they are not all one price
)
"""Shares of the symbols that have a row."""

BACK_SESSIONS = 20
"""Sessions before the judged one that are looked at for a symbol's last price and usual volume."""

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _CAP = range(len(WINDOW_COLUMNS))


def derive_columns(today: npt.NDArray[np.floating], before: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Compute a session's columns and shares.

    Parameters
    ----------
    today
        Float (n_symbols, 6), columns as `schema.WINDOW_COLUMNS`; NaN where a symbol has no row.
    before
        Float (n_sessions_back, n_symbols, 6), oldest first, the session before last; at least one session.

    Returns
    -------
    tuple of numpy.ndarray
        float32 (12, n_symbols), by `COLUMNS`, NaN where a column has no value; float32 (6,), by `SHARES`, NaN where no
        symbol has a row.

    Raises
    ------
    InputError
        The shapes do not belong together.
    """
    _require_shapes(today, before)
    before = before[-BACK_SESSIONS:]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = _finite(np.log(today.astype(np.float32)))
        close, volume, cap = (_last_present(before[..., at]) for at in (_CLOSE, _VOLUME, _CAP))
        gap, body = logs[:, _OPEN] - close, logs[:, _CLOSE] - logs[:, _OPEN]
        change, span = logs[:, _CLOSE] - close, logs[:, _HIGH] - logs[:, _LOW]
        own_gap, own_body = np.abs(_centre(gap)), np.abs(_centre(body))
        columns = [
            *(change, gap, body, span),
            *((logs[:, at] - logs[:, _LOW]) / span for at in (_CLOSE, _OPEN)),
            *(_scale(_centre(change)), own_gap / (own_gap + own_body)),
            logs[:, _VOLUME] - volume,
            logs[:, _VOLUME] - np.log(_mean_present(before[..., _VOLUME])),
            logs[:, _VOLUME] - logs[:, _CAP],
            logs[:, _CAP] - cap,
        ]
    return _finite(np.stack(columns).astype(np.float32)), _shares(today, before[-1])


def _shares(today: npt.NDArray[np.floating], yesterday: npt.NDArray[np.floating]) -> Floats:
    """Return the shares, each of the symbols that it can be said of."""
    here = np.isfinite(today[:, _CLOSE])
    both = here & np.isfinite(yesterday[:, _CLOSE])
    flat = today[:, _HIGH] == today[:, _LOW]
    same = (today[:, :_VOLUME] == yesterday[:, :_VOLUME]).all(axis=1) & ~flat
    said = [
        (np.isnan(today[:, _VOLUME]), here),
        (np.isnan(today[:, _CAP]), here),
        (today[:, _VOLUME] == 0, here),
        (flat, here),
        (today[:, _CLOSE] == yesterday[:, _CLOSE], both),
        (same, both),
    ]
    return np.array([mask[of].mean() if of.any() else np.nan for mask, of in said], dtype=np.float32)


def _finite(values: npt.NDArray[np.floating]) -> Floats:
    """Return the values as float32, NaN for what is infinite: the logarithm of a zero, a ratio to nothing."""
    return np.where(np.isfinite(values), values, np.float32(np.nan)).astype(np.float32, copy=False)


def _last_present(values: npt.NDArray[np.floating]) -> Floats:
    """Return the logarithm of each symbol's newest value above zero, (n_symbols,)."""
    position = np.where(values > 0, np.arange(len(values))[:, None], -1).max(axis=0)
    newest = values[np.maximum(position, 0), np.arange(values.shape[1])]
    return np.where(position >= 0, np.log(newest), np.nan).astype(np.float32)


def _mean_present(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    present = np.isfinite(values)
    total = np.where(present, values, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / present.sum(axis=0))


def _centre(values: Floats) -> Floats:
    """Take the median over the symbols, the market's own move, from each."""
    return values - _median(values)


def _scale(values: Floats) -> Floats:
    """Divide by the median absolute value, so that a wild session and a calm one look alike."""
    return values / _median(np.abs(values))


def _median(values: Floats) -> np.float32:
    present = values[np.isfinite(values)]
    return np.float32(np.median(present)) if len(present) else np.float32(np.nan)


def _require_shapes(today: npt.NDArray[np.floating], before: npt.NDArray[np.floating]) -> None:
    wanted = len(WINDOW_COLUMNS)
    if today.ndim != 2 or today.shape[1] != wanted or before.shape[1:] != today.shape or not len(before):
        rule = (
            f"today must be (n_symbols, {wanted}) and before (n_sessions_back, n_symbols, {wanted}), one or more back"
        )
        raise InputError(rule, value=f"{today.shape} and {before.shape}", place="drift")
