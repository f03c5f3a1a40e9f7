"""Cells of an upload as numbers: thousand separators, exponents, and the words for a missing value.

Most chunks hold plain numbers only, and Arrow's own cast reads them; a chunk in which one cell needs more care is read
again by the rules written here. So dirt costs time only where it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError

Mask = npt.NDArray[np.bool_]

MISSING_WORDS = ("", "-", "null", "nan", "none", "n/a")
"""Cells that say there is no value, compared without case and surrounding space."""

# A group of thousands starts with 1-9: "0,123" is a decimal comma, which no upload may use.
_NUMBER = r"^[+-]?(?:(?:[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def read_numbers(cells: pa.Array, place: str) -> tuple[pa.Array, Mask]:
    """Read one chunk of a number column.

    Parameters
    ----------
    cells
        Text, integers, decimals or floats, (n_rows,).
    place
        File and column, for the message.

    Returns
    -------
    values
        float64, (n_rows,); null where the cell is missing or is not a number.
    unreadable
        True where the cell has a value that is not a finite number, (n_rows,).

    Raises
    ------
    InputError
        Where the column's type can hold no numbers (booleans, dates, lists).

    Examples
    --------
    >>> values, unreadable = read_numbers(pa.array(["1,250.5", "-", "1,2", "7.6e-07"]), "day.csv")
    >>> values.to_pylist(), unreadable.tolist()
    ([1250.5, None, None, 7.6e-07], [False, False, True, False])
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_text(cells.type):
        return _read_texts(cells.cast(pa.string()))
    if not _is_number(cells.type):
        raise InputError("a price, volume or market cap must be numbers or text", value=cells.type, place=place)
    # safe=False: an integer above 2**53 becomes the nearest float, as its text would.
    return _split_floats(cells.cast(pa.float64(), safe=False))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _read_texts(texts: pa.Array) -> tuple[pa.Array, Mask]:
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return _read_with_care(texts)
    # The cast takes "inf" and "nan" for numbers.
    if pc.all(pc.is_finite(values)).as_py() is False:
        return _read_with_care(texts)
    return values, np.zeros(len(texts), dtype=bool)


def _read_with_care(texts: pa.Array) -> tuple[pa.Array, Mask]:
    trimmed = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(pc.utf8_lower(trimmed), pa.array([*MISSING_WORDS, None], pa.string()))
    plain = pc.if_else(pc.match_substring_regex(trimmed, _NUMBER), trimmed, None)
    values, _ = _split_floats(pc.replace_substring(plain, ",", "").cast(pa.float64()))
    return values, _as_mask(pc.and_not(pc.is_null(values), missing))


def _split_floats(values: pa.Array) -> tuple[pa.Array, Mask]:
    """Part the infinite values, which no cell may hold, from NaN, which says missing."""
    if values.null_count == 0 and pc.all(pc.is_finite(values)).as_py() is not False:
        return values, np.zeros(len(values), dtype=bool)
    infinite = _as_mask(pc.fill_null(pc.is_inf(values), False))
    return pc.if_else(pc.is_finite(values), values, None), infinite


def _as_mask(flags: pa.Array) -> Mask:
    return np.asarray(flags.to_numpy(zero_copy_only=False), dtype=bool)
