"""What one row must satisfy to become a bar: a list of named rules, each a vectorised test.

A row that breaks a rule goes to quarantine under the first rule that it breaks; the order of `ROW_EXPECTATIONS` is the
order of precedence. Rounding is forgiven: sources round prices to eight or nine decimals, so a coin at 1e-8 can have a
low 5e-9 above its open (seen in the files of 2013 to 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.market.sessions import off_calendar
from include.schema import PRICES

Mask = npt.NDArray[np.bool_]

ABSOLUTE_TOLERANCE = 1e-8
"""Price units: one step of a source that rounds to eight decimals."""

RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class RowExpectation:
    """A rule for one row.

    Attributes
    ----------
    name
        Its name in quarantine.
    sentence
        What must hold, for people.
    breaks
        Takes bars and the calendar's name, gives (n_rows,) true where the rule is broken.
    """

    name: str
    sentence: str
    breaks: Callable[[pa.Table, str], Mask]


def order_excess(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return by how much `low` exceeds `high` beyond rounding, in price units; at most 0 where the order holds."""
    tolerance = np.maximum(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * np.abs(high))
    excess: npt.NDArray[np.float64] = low - high - tolerance
    return excess


def _prices(bars: pa.Table) -> list[npt.NDArray[np.float64]]:
    return [bars[name].to_numpy() for name in PRICES]


def _not_positive(bars: pa.Table, _: str) -> Mask:
    # As float32, which is what a window holds: 1e39 is infinite there, and would spoil every mean that it enters.
    with np.errstate(over="ignore"):
        prices = [price.astype(np.float32) for price in _prices(bars)]
    broken = [~(np.isfinite(price) & (price > 0)) for price in prices]
    return np.asarray(np.logical_or.reduce(broken), dtype=bool)


def _low_above(bars: pa.Table, _: str) -> Mask:
    opening, high, low, close = _prices(bars)
    return np.asarray(order_excess(low, np.minimum(np.minimum(opening, close), high)) > 0)


def _high_below(bars: pa.Table, _: str) -> Mask:
    opening, high, _low, close = _prices(bars)
    return np.asarray(order_excess(np.maximum(opening, close), high) > 0)


def _negative(column: str) -> Callable[[pa.Table, str], Mask]:
    def breaks(bars: pa.Table, _: str) -> Mask:
        return np.asarray(pc.fill_null(pc.less(bars[column], 0), False).to_numpy(), dtype=bool)

    return breaks


def _off_calendar(bars: pa.Table, calendar: str) -> Mask:
    return off_calendar(calendar, bars["session"].combine_chunks())


ROW_EXPECTATIONS = (
    RowExpectation("session_on_calendar", "the session must be one of the exchange's calendar", _off_calendar),
    RowExpectation("prices_positive", "prices must be greater than zero and finite as float32", _not_positive),
    RowExpectation("low_is_lowest", "low must not exceed open, high or close beyond rounding", _low_above),
    RowExpectation("high_is_highest", "high must not be below open or close beyond rounding", _high_below),
    RowExpectation("volume_not_negative", "volume must be zero, more, or missing", _negative("volume")),
    RowExpectation("market_cap_not_negative", "market cap must be zero, more, or missing", _negative("market_cap")),
)


def find_broken_rows(bars: pa.Table, calendar: str) -> npt.NDArray[np.int64]:
    """Return, per row, the position in `ROW_EXPECTATIONS` of the first rule it breaks, or -1.

    Returns
    -------
    numpy.ndarray
        int64 (n_rows,).
    """
    first = np.full(bars.num_rows, -1, dtype=np.int64)
    for position, expectation in enumerate(ROW_EXPECTATIONS):
        broken = expectation.breaks(bars, calendar)
        first[broken & (first < 0)] = position
    return first
