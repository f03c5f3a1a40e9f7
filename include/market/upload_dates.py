"""Dates of an upload as sessions, and the question whether 7/2/2018 is in July or in February.

A file keeps one form of date throughout. The order of day and month is never guessed from one cell: the whole file is
the evidence, then the setting, then the session that the upload was expected for; where none of them decides, the file
is refused. Only the distinct texts are parsed, so millions of rows cost as little as one session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.errors import InputError

DATE_ORDERS = ("M/D", "D/M")

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)?)?", re.ASCII)
_NAMED = re.compile(r"([A-Za-z]+)\.? +(\d{1,2}),? +(\d{4})", re.ASCII)
_SLASH = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_RULE = "a date must be a day written YYYY-MM-DD, Jul 02, 2018 or M/D/YYYY, without a time of day"


class _Parts(NamedTuple):
    """One distinct date as its numbers; in the form `slash` it is not yet known which of month and day is which."""

    form: str
    year: int
    month: int
    day: int


@dataclass(frozen=True)
class DateRules:
    """What settles the order of day and month where the file leaves it open.

    Parameters
    ----------
    place
        File name, for messages.
    date_order
        "M/D" or "D/M"; None leaves it to the expected session.
    expected_session
        The session that the upload should hold, if it should hold one.
    """

    place: str
    date_order: str | None = None
    expected_session: date | None = None

    def __post_init__(self) -> None:
        if self.date_order not in (None, *DATE_ORDERS):
            raise InputError("date_order must be M/D or D/M", value=self.date_order)


def encode_dates(cells: pa.Array, place: str) -> pa.DictionaryArray:
    """Turn one chunk of a date column into codes into its distinct texts.

    Parameters
    ----------
    cells
        Text, text already encoded, dates or timestamps, (n_rows,).
    place
        File and column, for the message.

    Returns
    -------
    pa.DictionaryArray
        int32 codes into strings, (n_rows,); dates and timestamps become their ISO text.

    Raises
    ------
    InputError
        Where the column's type holds no dates (numbers, lists).
    """
    if cells.type == pa.dictionary(pa.int32(), pa.string()):
        return cells
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(test(cells.type) for test in (*tests, pa.types.is_date, pa.types.is_timestamp, pa.types.is_null)):
        raise InputError("a date column must be dates, timestamps or text", value=cells.type, place=place)
    codes = cells.dictionary_encode()
    return pa.DictionaryArray.from_arrays(codes.indices, codes.dictionary.cast(pa.string()))


def read_sessions(dates: pa.ChunkedArray, row_numbers: npt.NDArray[np.int64], rules: DateRules) -> pa.ChunkedArray:
    """Read every row's session.

    Parameters
    ----------
    dates
        Codes into distinct texts, as `encode_dates` gives them, (n_rows,); empty gives empty.
    row_numbers
        1-based data row of each, for messages, (n_rows,).
    rules
        What settles the order of day and month.

    Returns
    -------
    pa.ChunkedArray
        date32, (n_rows,).

    Raises
    ------
    InputError
        A cell that is no date, several forms in one file, or an order of day and month that nothing settles.
    """
    if len(dates) == 0:
        return pa.chunked_array([], pa.date32())
    codes = _Codes(dates.unify_dictionaries(), row_numbers, rules.place)
    parts = [_match_form(text) or codes.refuse(index) for index, text in enumerate(codes.texts)]
    _require_one_form(parts, codes)
    if parts[0].form == "slash" and _settle_order(parts, codes, rules) == "D/M":
        parts = [_swapped(part) for part in parts]
    days = pa.array([_as_date(part) or codes.refuse(index) for index, part in enumerate(parts)], pa.date32())
    return pa.chunked_array([days.take(chunk.indices) for chunk in codes.chunks], pa.date32())


class _Codes:
    """The file's distinct dates, and where each was first seen."""

    def __init__(self, dates: pa.ChunkedArray, row_numbers: npt.NDArray[np.int64], place: str) -> None:
        self.chunks, self.place, self._row_numbers = dates.chunks, place, row_numbers
        if dates.null_count:
            first = int(np.flatnonzero(dates.is_null().to_numpy())[0])
            raise InputError(_RULE, value="null", place=f"{place}, row {row_numbers[first]}; nothing written")
        # A generator: a file of garbage may have millions of distinct texts, and the first one ends the reading.
        self.texts = (scalar.as_py() for scalar in self.chunks[0].dictionary)

    def row_of(self, index: int) -> int:
        """Data row in which a distinct text was first seen."""
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in self.chunks])
        return int(self._row_numbers[np.argmax(codes == index)])

    def text_of(self, index: int) -> str:
        """Give a distinct text as it came, cut at 80 characters."""
        return repr(self.chunks[0].dictionary[index].as_py()[:80])

    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each distinct text."""
        size = len(self.chunks[0].dictionary)
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in self.chunks])
        return np.bincount(codes, minlength=size)

    def refuse(self, index: int) -> NoReturn:
        """Refuse the file for a text that is no date."""
        place = f"{self.place}, row {self.row_of(index)}; nothing written"
        raise InputError(_RULE, value=self.text_of(index), place=place)

    def show(self, index: int) -> str:
        """Name a text and the row where it was first seen."""
        return f"{self.text_of(index)} in row {self.row_of(index)}"


def _match_form(text: str) -> _Parts | None:
    text = text.strip()
    if match := _ISO.fullmatch(text):
        return _Parts("ISO", *(int(group) for group in match.groups()))
    if match := _SLASH.fullmatch(text):
        parts = _Parts("slash", int(match[3]), int(match[1]), int(match[2]))
        return parts if _as_date(parts) or _as_date(_swapped(parts)) else None
    if (match := _NAMED.fullmatch(text)) and (month := _month_number(match[1].lower())):
        return _Parts("month name", int(match[3]), month, int(match[2]))
    return None


def _month_number(word: str) -> int | None:
    """Number an English month, whatever the machine's own language: jul, july, sept."""
    fits = [number for number, name in enumerate(_MONTHS, 1) if len(word) >= 3 and name.startswith(word)]
    return fits[0] if fits else None


def _as_date(parts: _Parts) -> date | None:
    try:
        return date(parts.year, parts.month, parts.day)
    except ValueError:
        return None


def _swapped(parts: _Parts) -> _Parts:
    return parts._replace(month=parts.day, day=parts.month)


def _require_one_form(parts: Sequence[_Parts], codes: _Codes) -> None:
    firsts: dict[str, int] = {}
    for index, part in enumerate(parts):
        firsts.setdefault(part.form, index)
    if len(firsts) > 1:
        seen = ", ".join(f"{codes.show(index)} ({form})" for form, index in firsts.items())
        raise InputError("a file must keep to one form of date", value=seen, place=f"{codes.place}; nothing written")


def _settle_order(parts: Sequence[_Parts], codes: _Codes, rules: DateRules) -> str:
    """Choose between M/D and D/M, by the file, then the setting, then the expected session."""
    day_first = _first(parts, lambda part: part.month > 12 >= part.day)
    month_first = _first(parts, lambda part: part.day > 12 >= part.month)
    if day_first is not None and month_first is not None:
        seen = f"{codes.show(day_first)} (D/M), {codes.show(month_first)} (M/D)"
        rule = "a file's dates must be all M/D or all D/M, and this one is mixed"
        raise InputError(rule, value=seen, place=f"{rules.place}; nothing written")
    if day_first is not None or month_first is not None:
        return "D/M" if month_first is None else "M/D"
    either = all(part.month == part.day for part in parts)
    order = "M/D" if either else rules.date_order or _order_of_expected(parts, codes, rules.expected_session)
    if order is None:
        rule = "dates that can be read as M/D and as D/M need the setting CLOSECAST_DATE_ORDER (M/D or D/M)"
        first = _first(parts, lambda part: part.month != part.day) or 0
        raise InputError(rule, value=codes.show(first), place=f"{rules.place}; nothing written")
    return order


def _first(parts: Sequence[_Parts], has: Callable[[_Parts], bool]) -> int | None:
    return next((index for index, part in enumerate(parts) if has(part)), None)


def _order_of_expected(parts: Sequence[_Parts], codes: _Codes, expected: date | None) -> str | None:
    """Give the one order in which most rows are of the expected session, if there is exactly one."""
    counts = codes.counts()
    readings = {"M/D": parts, "D/M": [_swapped(part) for part in parts]}
    hits = {
        order: counts[[_as_date(part) == expected for part in reading]].sum() for order, reading in readings.items()
    }
    fits = [order for order in DATE_ORDERS if hits[order] * 2 > counts.sum()]
    return fits[0] if len(fits) == 1 else None
