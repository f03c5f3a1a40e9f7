"""Which row stands when a symbol and session come more than once in one upload.

Of the rows the one with most numbers present stands, then the one with the larger volume, then the one that comes first
in the file. Those with the same numbers as it are exact duplicates, which are counted; the others go to quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.ingest.keys import Rows, are_same, is_increasing, read_numbers, sort_keys
from include.schema import WINDOW_COLUMNS


@dataclass(frozen=True)
class Split:
    """Positions of rows: `kept` ordered by session and symbol, `exact` and `conflicting` in no order.

    `is_identity` says that every row is kept, in its place.
    """

    kept: Rows
    exact: Rows
    conflicting: Rows
    is_identity: bool = False


def split_duplicates(bars: pa.Table, among: Rows | None = None) -> Split:
    """Decide for each row whether it stands.

    Parameters
    ----------
    bars
        symbol, session, row_number and the window columns.
    among
        Positions of the rows in question, increasing; all by default.
    """
    (key,) = sort_keys(bars)
    rows = np.arange(len(key)) if among is None else among
    key = key[rows] if among is not None else key
    none = np.empty(0, np.int64)
    if is_increasing(key):
        return Split(rows, none, none, is_identity=among is None)
    order = np.argsort(key, kind="stable")
    same_key = np.diff(key[order]) == 0
    if not same_key.any():
        return Split(rows[order], none, none)
    in_group = np.concatenate([[False], same_key]) | np.concatenate([same_key, [False]])
    contested = order[in_group]
    ranked = contested[np.lexsort((*_preference(bars, rows[contested])[::-1], key[contested]))]
    starts = np.concatenate([[True], np.diff(key[ranked]) != 0])
    winner = ranked[starts][np.cumsum(starts) - 1]
    equal = are_same(read_numbers(bars, rows[ranked]), read_numbers(bars, rows[winner])).all(axis=1)
    kept = np.ones(len(key), dtype=bool)
    kept[ranked[~starts]] = False
    losers = rows[ranked]
    return Split(rows[order[kept[order]]], losers[~starts & equal], losers[~starts & ~equal])


def _preference(bars: pa.Table, rows: Rows) -> tuple[npt.NDArray[np.float64], ...]:
    """Return sort keys, most important first: fewest numbers missing, largest volume, first in the file."""
    numbers = read_numbers(bars, rows)
    volume = np.nan_to_num(numbers[:, WINDOW_COLUMNS.index("volume")], nan=-1.0)
    first = bars["row_number"].to_numpy()[rows].astype(np.float64)
    return np.isnan(numbers).sum(axis=1).astype(np.float64), -volume, first
