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
from include.uploads.text_codes import Codes, TextCodes

DATE_ORDERS = ("M/D", "D/M")

_MAX_DATES = 100_000

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


class DateTexts:
    """The distinct dates of a whole upload, and where each was first seen; gathered a chunk at a time.

    Parameters
    ----------
    rules
        What settles the order of day and month.
    """

    def __init__(self, rules: DateRules) -> None:
        self.rules = rules
        self._texts = TextCodes("dates", _MAX_DATES, rules.place)
        self._first_rows: list[int] = []
        self._parts: list[_Parts] = []
        self._counts = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, dates: pa.DictionaryArray, row_numbers: npt.NDArray[np.int64]) -> Codes:
        """Number the dates of some rows.

        Parameters
        ----------
        dates
            Codes into distinct texts, as `encode_dates` gives them, (n_rows,); empty gives empty.
        row_numbers
            1-based data row of each, for messages, (n_rows,).

        Returns
        -------
        numpy.ndarray
            int32 (n_rows,), positions in the days that `settle` gives.

        Raises
        ------
        InputError
            A cell that is no date, or more distinct texts than dates there are.
        """
        if dates.null_count:
            first = int(np.flatnonzero(dates.is_null().to_numpy(zero_copy_only=False))[0])
            raise self._refusal("null", row_numbers[first])
        local = dates.indices.to_numpy()
        counts = np.bincount(local, minlength=len(dates.dictionary))
        used = np.flatnonzero(counts)
        known = len(self._texts)
        codes = np.zeros(len(counts), np.int32)
        codes[used] = self._texts.encode(dates.dictionary.take(pa.array(used)))
        coded: Codes = codes[local]
        if len(self._texts) > known:
            self._note_new(coded, row_numbers, known)
        self._counts = np.pad(self._counts, (0, len(self._texts) - known))
        np.add.at(self._counts, codes[used], counts[used])
        return coded

    def settle(self) -> npt.NDArray[np.int32]:
        """Read every distinct text as a session.

        Returns
        -------
        numpy.ndarray
            int32 (n_texts,), days since 1970.

        Raises
        ------
        InputError
            Several forms in one file, an order of day and month that nothing settles, or a day that is in no month.
        """
        parts = self._parts
        if not parts:
            return np.empty(0, np.int32)
        _require_one_form(parts, self)
        if parts[0].form == "slash" and _settle_order(parts, self) == "D/M":
            parts = [_swapped(part) for part in parts]
        days = [_as_date(part) or self.refuse(index) for index, part in enumerate(parts)]
        return np.asarray(pa.array(days, pa.date32()).cast(pa.int32()).to_numpy(), dtype=np.int32)

    def _note_new(self, codes: Codes, row_numbers: npt.NDArray[np.int64], known: int) -> None:
        """Keep form and first row of the texts that came for the first time; a text of garbage ends the reading."""
        first_rows = np.zeros(len(self._texts), np.int64)
        first_rows[codes[::-1]] = row_numbers[::-1]  # of several rows the last that is assigned stays: the first
        self._first_rows += first_rows[known:].tolist()
        for code in sorted(range(known, len(self._texts)), key=first_rows.__getitem__):
            if _match_form(self._texts.texts[code].as_py()) is None:
                self.refuse(code)
        texts = self._texts.texts.slice(known).to_pylist()
        self._parts += [part for text in texts if (part := _match_form(text)) is not None]

    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each distinct text."""
        return self._counts

    def refuse(self, index: int) -> NoReturn:
        """Refuse the file for a text that is no date."""
        raise self._refusal(self._text_of(index), self._first_rows[index])

    def show(self, index: int) -> str:
        """Name a text and the row where it was first seen."""
        return f"{self._text_of(index)} in row {self._first_rows[index]}"

    def _text_of(self, index: int) -> str:
        return repr(self._texts.texts[index].as_py()[:80])

    def _refusal(self, value: str, row_number: int) -> InputError:
        return InputError(_RULE, value=value, place=f"{self.rules.place}, row {row_number}; nothing written")


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


def _require_one_form(parts: Sequence[_Parts], texts: DateTexts) -> None:
    firsts: dict[str, int] = {}
    for index, part in enumerate(parts):
        firsts.setdefault(part.form, index)
    if len(firsts) > 1:
        seen = ", ".join(f"{texts.show(index)} ({form})" for form, index in firsts.items())
        raise InputError(
            "a file must keep to one form of date", value=seen, place=f"{texts.rules.place}; nothing written"
        )


def _settle_order(parts: Sequence[_Parts], texts: DateTexts) -> str:
    """Choose between M/D and D/M, by the file, then the setting, then the expected session."""
    rules = texts.rules
    day_first = _first(parts, lambda part: part.month > 12 >= part.day)
    month_first = _first(parts, lambda part: part.day > 12 >= part.month)
    if day_first is not None and month_first is not None:
        seen = f"{texts.show(day_first)} (D/M), {texts.show(month_first)} (M/D)"
        rule = "a file's dates must be all M/D or all D/M, and this one is mixed"
        raise InputError(rule, value=seen, place=f"{rules.place}; nothing written")
    if day_first is not None or month_first is not None:
        return "D/M" if month_first is None else "M/D"
    either = all(part.month == part.day for part in parts)
    order = "M/D" if either else rules.date_order or _order_of_expected(parts, texts)
    if order is None:
        rule = "dates that can be read as M/D and as D/M need the setting CLOSECAST_DATE_ORDER (M/D or D/M)"
        first = _first(parts, lambda part: part.month != part.day) or 0
        raise InputError(rule, value=texts.show(first), place=f"{rules.place}; nothing written")
    return order


def _first(parts: Sequence[_Parts], has: Callable[[_Parts], bool]) -> int | None:
    return next((index for index, part in enumerate(parts) if has(part)), None)


def _order_of_expected(parts: Sequence[_Parts], texts: DateTexts) -> str | None:
    """Give the one order in which most rows are of the expected session, if there is exactly one."""
    counts, expected = texts.counts(), texts.rules.expected_session
    readings = {"M/D": parts, "D/M": [_swapped(part) for part in parts]}
    hits = {
        order: counts[[_as_date(part) == expected for part in reading]].sum() for order, reading in readings.items()
    }
    fits = [order for order in DATE_ORDERS if hits[order] * 2 > counts.sum()]
    return fits[0] if len(fits) == 1 else None
