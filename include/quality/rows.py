"""What one row must satisfy to become a bar: the suite `rows`, each rule a vectorised test over Arrow.

A row that breaks a rule goes to quarantine under the first rule that it breaks; the order in the file is the order of
precedence. Rows are judged in batches that fit the processor's cache, as they lie in Arrow: no column is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import singledispatch

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.market.sessions import off_calendar
from include.quality import kinds
from include.schema import PRICES

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BATCH_ROWS = 1 << 15
"""Rows judged at once: a column of them is 256 KiB, and all six fit into a core's own cache."""

_LEAST = {"float32": 2.0**-150, "float64": 0.0}
_BEYOND = {"float32": 2.0**128 - 2.0**103, "float64": np.inf}
"""Where rounding to the type ends: up to `_LEAST` a number becomes 0, from `_BEYOND` on it becomes infinite."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class RowContext:
    """What rules need besides a batch: all rows, the calendar, and the newest session that can have been uploaded."""

    bars: pa.Table
    calendar: str
    newest_session: date | None = None


def find_broken_rows(
    bars: pa.Table, suite: Sequence[kinds.AnyRow], calendar: str, *, newest_session: date | None = None
) -> npt.NDArray[np.int64]:
    """Return, per row, the position in `suite` of the first rule that it breaks, or -1.

    Parameters
    ----------
    bars
        symbol string, session date32, prices, volume and market_cap float64; other columns are not looked at.
    suite
        From `include.quality.suites.load_suites(settings).rows`.
    calendar
        Name of the exchange's calendar.
    newest_session
        The newest session that has closed; with None, no row is too new.

    Returns
    -------
    numpy.ndarray
        int64 (n_rows,).
    """
    context = RowContext(bars, calendar, newest_session)
    rules = [_build_rule(entry, context) for entry in suite]
    first = np.full(bars.num_rows, -1, dtype=np.int64)
    at = 0
    for batch in bars.to_batches(max_chunksize=BATCH_ROWS):
        part = first[at : at + batch.num_rows]
        for position, breaks in enumerate(rules):
            broken = breaks(batch)
            if broken.any():
                part[broken & (part < 0)] = position
        at += batch.num_rows
    return first


def order_excess(low: Floats, high: Floats, *, absolute: float = 1e-8, relative: float = 1e-6) -> Floats:
    """Return by how much `low` exceeds `high` beyond rounding, in price units; at most 0 where the order holds.

    Parameters
    ----------
    low, high
        Price units.
    absolute, relative
        Tolerances in price units and as a share of `high`; the larger forgives.
    """
    excess: Floats = low - high - np.maximum(absolute, relative * np.abs(high))
    return excess


Rule = Callable[[pa.RecordBatch], Mask]
"""Gives (n_rows,), true where a row of the batch breaks the rule."""


@singledispatch
def _build_rule(entry: kinds.Entry, context: RowContext) -> Rule:
    """Turn an entry of the suite into its test."""
    raise TypeError(f"an expectation of a row must have a test. Received: {type(entry).__name__}")


@_build_rule.register
def _(entry: kinds.SessionOnCalendar, context: RowContext) -> Rule:
    days = context.bars["session"].unique()  # few, however many rows: each is looked up once
    strange = days.filter(pa.array(off_calendar(context.calendar, days)))

    def breaks(batch: pa.RecordBatch) -> Mask:
        if not len(strange):
            return np.zeros(batch.num_rows, dtype=bool)
        return _as_mask(pc.is_in(batch["session"], strange))

    return breaks


@_build_rule.register
def _(entry: kinds.SessionHasClosed, context: RowContext) -> Rule:
    newest = None if context.newest_session is None else (context.newest_session - _EPOCH).days

    def breaks(batch: pa.RecordBatch) -> Mask:
        if newest is None:
            return np.zeros(batch.num_rows, dtype=bool)
        days = pc.fill_null(batch["session"].cast(pa.int32()), newest)
        return np.asarray(days.to_numpy(zero_copy_only=False) > newest)

    return breaks


@_build_rule.register
def _(entry: kinds.Text, context: RowContext) -> Rule:
    def breaks(batch: pa.RecordBatch) -> Mask:
        texts = batch[entry.column]
        if pa.types.is_dictionary(texts.type):  # each text is looked at once, however often it comes
            known = np.append(_breaks_text(texts.dictionary, entry), False)
            codes = pc.fill_null(texts.indices, len(texts.dictionary)).to_numpy(zero_copy_only=False)
            return np.asarray(known[codes], dtype=bool)
        return _breaks_text(texts, entry)

    return breaks


def _breaks_text(texts: pa.StringArray, entry: kinds.Text) -> Mask:
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= entry.longest:
        return np.zeros(len(texts), dtype=bool)
    return _as_mask(pc.greater(pc.utf8_length(texts), entry.longest))


@_build_rule.register
def _(entry: kinds.RowRange, context: RowContext) -> Rule:
    def breaks(batch: pa.RecordBatch) -> Mask:
        broken = np.zeros(batch.num_rows, dtype=bool)
        for column in entry.columns:
            if entry.finite or not _spans_within(batch[column], entry):
                broken |= _is_out_of_range(_as_floats(batch, column), entry)
        return broken

    return breaks


def _spans_within(values: pa.DoubleArray, entry: kinds.RowRange) -> bool:
    """Say whether even the smallest and the largest number are in range: a look that copies nothing."""
    ends = pc.min_max(values).values()
    numbers = np.array([np.nan if end.as_py() is None else end.as_py() for end in ends])
    return not _is_out_of_range(numbers, entry).any()


def _is_out_of_range(values: Floats, entry: kinds.RowRange) -> Mask:
    """Say which numbers are out of range: of missing ones, those that must be finite."""
    least, most = entry.min, entry.max
    strict_min, strict_max = entry.strict_min, entry.strict_max
    if entry.finite:
        if least is not None and strict_min and 0 <= least < _LEAST[entry.finite]:
            least = _LEAST[entry.finite]  # what is positive must be so as the type that a window holds
        # 1e39 is infinite as float32, and would spoil every mean that it enters.
        beyond = _BEYOND[entry.finite]
        most, strict_max = (beyond, True) if most is None or most >= beyond else (most, strict_max)
        least, strict_min = (-beyond, True) if least is None or least <= -beyond else (least, strict_min)
    sound = _is_sound(values, least, most, strict_min=strict_min, strict_max=strict_max)
    return ~sound if entry.finite else ~sound & ~np.isnan(values)


def _is_sound(values: Floats, least: float | None, most: float | None, *, strict_min: bool, strict_max: bool) -> Mask:
    sound = np.ones(len(values), dtype=bool)
    if least is not None:
        sound &= values > least if strict_min else values >= least
    if most is not None:
        sound &= values < most if strict_max else values <= most
    return sound


@_build_rule.register
def _(entry: kinds.RowOrder, context: RowContext) -> Rule:
    def breaks(batch: pa.RecordBatch) -> Mask:
        prices = {name: _as_floats(batch, name) for name in PRICES}
        return find_disorder(prices, entry)

    return breaks


def find_disorder(prices: dict[str, Floats], limits: kinds.OrderLimits) -> Mask:
    """Return (n_rows,), true where low is not the lowest price of its row, or high not the highest, beyond rounding.

    A row whose high lies below its low is one whose low is not the lowest.
    """
    opening, high, low, close = (prices[name] for name in PRICES)
    if limits.side == "low":
        lower, upper = low, np.minimum(np.minimum(opening, close), high)
    else:
        lower, upper = np.maximum(opening, close), high
    broken = lower > upper
    if broken.any():  # rounding is looked at only where there is something to forgive
        at = np.flatnonzero(broken)
        excess = order_excess(
            lower[at], upper[at], absolute=limits.absolute_tolerance, relative=limits.relative_tolerance
        )
        broken[at] = excess > 0
    return np.asarray(broken)


def _as_floats(batch: pa.RecordBatch, column: str) -> Floats:
    """Give a column as it lies in memory; where numbers are missing, a copy with NaN in their place."""
    values: Floats = batch[column].to_numpy(zero_copy_only=False)
    return values


def _as_mask(found: pa.BooleanArray) -> Mask:
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)
