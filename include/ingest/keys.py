"""One number a row that sorts as (session, symbol) does: what duplicates and merges are found by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.schema import WINDOW_COLUMNS

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def sort_keys(*tables: pa.Table) -> list[Rows]:
    """Number each (session, symbol) so that the numbers sort as the pairs do, across all tables.

    Parameters
    ----------
    tables
        Each with symbol (text, dictionary encoded or not) and session.

    Returns
    -------
    list of numpy.ndarray
        int64 (n_rows,), one a table.
    """
    encoded = [chunk.dictionary_encode() for table in tables for chunk in table["symbol"].chunks]
    symbols = pa.chunked_array(encoded, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
    rank = rank_texts(symbols.chunk(0).dictionary) if symbols.num_chunks else np.empty(0, np.int64)
    codes = [rank[chunk.indices.to_numpy()] for chunk in symbols.chunks]
    code = np.concatenate(codes) if codes else np.empty(0, np.int64)
    days = np.concatenate([table["session"].cast(pa.int32()).to_numpy() for table in tables]).astype(np.int64)
    bounds = np.cumsum([table.num_rows for table in tables])[:-1]
    return list(np.split(days * max(len(rank), 1) + code, bounds))


def rank_texts(texts: pa.Array) -> Rows:
    """Give each text its place among all of them in order, int64 (n,)."""
    order = pc.sort_indices(texts).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def is_increasing(keys: Rows) -> bool:
    """Whether keys are sorted and none comes twice."""
    return bool((keys[1:] > keys[:-1]).all())


def read_numbers(bars: pa.Table, rows: Rows) -> npt.NDArray[np.float64]:
    """Return the window columns of some rows, float64 (n_rows, 6), NaN where missing."""
    taken = bars.select(list(WINDOW_COLUMNS)).take(pa.array(rows))
    columns = [pc.fill_null(column, np.nan).to_numpy() for column in taken.columns]
    return np.stack(columns, axis=1).astype(np.float64) if len(rows) else np.empty((0, len(WINDOW_COLUMNS)))


def are_same(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> Mask:
    """Tell which numbers are equal, two missing ones too; same shape as both."""
    return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)))
