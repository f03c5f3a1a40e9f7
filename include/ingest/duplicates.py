"""Which row stands when a symbol and session come more than once in one upload.

Of the rows the one with most numbers present stands, then the one with the larger volume, then the one that comes first
in the file. Those with the same numbers as it are exact duplicates, which are counted; the others go to quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.schema import WINDOW_COLUMNS

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Positions of rows: `kept` ordered by session and symbol, `exact` and `conflicting` in no order."""

    kept: Rows
    exact: Rows
    conflicting: Rows


def split_duplicates(bars: pa.Table) -> Split:
    """Decide for each row whether it stands.

    Parameters
    ----------
    bars
        symbol, session, row_number and the window columns.
    """
    key = _sort_key(bars)
    order = np.argsort(key, kind="stable")
    same_key = np.diff(key[order]) == 0
    if not same_key.any():
        return Split(order, np.empty(0, np.int64), np.empty(0, np.int64))
    in_group = np.concatenate([[False], same_key]) | np.concatenate([same_key, [False]])
    contested = order[in_group]
    ranked = contested[np.lexsort((*_preference(bars, contested)[::-1], key[contested]))]
    starts = np.concatenate([[True], np.diff(key[ranked]) != 0])
    winner = ranked[starts][np.cumsum(starts) - 1]
    equal = _same_numbers(bars, ranked, winner)
    kept = np.ones(len(key), dtype=bool)
    kept[ranked[~starts]] = False
    return Split(order[kept[order]], ranked[~starts & equal], ranked[~starts & ~equal])


def _sort_key(bars: pa.Table) -> Rows:
    """Number each (session, symbol) so that the numbers sort as the pairs do."""
    encoded = bars["symbol"].combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False)))
    days = bars["session"].cast(pa.int32()).to_numpy().astype(np.int64)
    key: Rows = days * max(len(rank), 1) + rank[encoded.indices.to_numpy()]
    return key


def _numbers(bars: pa.Table, rows: Rows) -> npt.NDArray[np.float64]:
    """Return the window columns of some rows, (n_rows, 6), NaN where missing."""
    taken = bars.select(list(WINDOW_COLUMNS)).take(pa.array(rows))
    return np.stack([column.to_numpy() for column in taken.columns], axis=1).astype(np.float64)


def _preference(bars: pa.Table, rows: Rows) -> tuple[npt.NDArray[np.float64], ...]:
    """Return sort keys, most important first: fewest numbers missing, largest volume, first in the file."""
    numbers = _numbers(bars, rows)
    volume = np.nan_to_num(numbers[:, WINDOW_COLUMNS.index("volume")], nan=-1.0)
    first = bars["row_number"].to_numpy()[rows].astype(np.float64)
    return np.isnan(numbers).sum(axis=1).astype(np.float64), -volume, first


def _same_numbers(bars: pa.Table, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
    a, b = _numbers(bars, left), _numbers(bars, right)
    same: npt.NDArray[np.bool_] = ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)
    return same
