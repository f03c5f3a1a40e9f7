"""Which header of an upload means what.

Uploads come from sites and desks that name the same column differently. A header is compared without case, surrounding
space, trailing asterisks and the difference between space, hyphen and underscore. Where several columns claim one
meaning, the earliest accepted name wins and the others are extra columns, which are never read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from include.errors import InputError

ACCEPTED_NAMES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "coin", "ticker", "name"),
    "date": ("date", "session"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
    "market_cap": ("market_cap", "market"),
}
"""Meaning → names, the one that wins first."""

OPTIONAL = ("volume", "market_cap")
_SHOWN_CHARS = 300


def match_columns(headers: Sequence[str], place: str) -> dict[str, int]:
    """Find the column of each meaning.

    Parameters
    ----------
    headers
        Column names as they came, in the file's order.
    place
        File name, for the message.

    Returns
    -------
    dict[str, int]
        Meaning → position in `headers`; an absent volume or market_cap has no entry.

    Raises
    ------
    InputError
        Where a required column is absent, or the name that wins is there twice.

    Examples
    --------
    >>> match_columns(["Coin", "Date", "Open*", "High", "Low", "Close**", "rank"], "day.csv")
    {'symbol': 0, 'date': 1, 'open': 2, 'high': 3, 'low': 4, 'close': 5}
    """
    found = [_normalise(header) for header in headers]
    columns = {}
    for meaning, names in ACCEPTED_NAMES.items():
        winner = next((name for name in names if name in found), None)
        if winner is not None:
            _require_once(winner, headers, found, place)
            columns[meaning] = found.index(winner)
        elif meaning not in OPTIONAL:
            rule = f"an upload must have a column for {meaning}, named {' or '.join(names)}"
            raise InputError(rule, value=_shorten(", ".join(headers)), place=place)
    return columns


def _normalise(header: str) -> str:
    return re.sub(r"[\s_-]+", "_", header.strip().rstrip("*").strip().lower())


def _require_once(winner: str, headers: Sequence[str], found: list[str], place: str) -> None:
    if found.count(winner) > 1:
        same = [header for header, name in zip(headers, found, strict=True) if name == winner]
        raise InputError(f"a column must be there once: {winner}", value=_shorten(", ".join(same)), place=place)


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + " ..."
