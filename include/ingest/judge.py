"""Which rows of an upload stand: each is accepted, quarantined, or an exact duplicate of one that is accepted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pyarrow as pa

from include.errors import ClosecastError
from include.ingest.duplicates import split_duplicates
from include.ingest.keys import Rows
from include.quality.kinds import AnyRow
from include.quality.rows import find_broken_rows
from include.schema import WINDOW_COLUMNS

CONFLICT = "one_row_a_symbol_and_session"
LEVEL = "level_confirmed"
_CONFLICT_REASON = (
    "another row of the same symbol and session stands: more complete, of larger volume, or first in the file"
)
_RAW = ["symbol", "session", *WINDOW_COLUMNS]
_SLICE_ROWS = 1 << 15
_RUN_ROWS = 1000
_encode_row = json.JSONEncoder(default=str).encode


@dataclass(frozen=True)
class Refusal:
    """Rows that one expectation refuses, and what to say of each."""

    rows: pa.Table
    expectation: str
    reason: str

    def shape(self) -> Iterator[pa.Table]:
        """Give them as quarantine has them, a slice at a time.

        `raw` is JSON of the values as they were read: they could be read.
        """
        for start in range(0, self.rows.num_rows, _SLICE_ROWS):
            rows = self.rows.slice(start, _SLICE_ROWS)
            values = [rows[name].to_pylist() for name in _RAW]
            raw = [_encode_row(dict(zip(_RAW, row, strict=True))) for row in zip(*values, strict=True)]
            columns = {
                "row_number": rows["row_number"],
                "symbol": rows["symbol"].cast(pa.string()),
                "session": rows["session"],
                "expectation": pa.array([self.expectation] * len(raw), pa.string()),
                "reason": pa.array([self.reason] * len(raw), pa.string()),
                "raw": pa.array(raw, pa.string()),
            }
            yield pa.table(columns)


@dataclass(frozen=True)
class Verdict:
    """What is said of some rows.

    Attributes
    ----------
    accepted
        Rows that become bars, ordered by session and symbol, none twice.
    refused
        The others, by the rule that refused them.
    duplicates
        How many rows repeated an accepted one to the last number.
    """

    accepted: pa.Table
    refused: list[Refusal]
    duplicates: int


@dataclass(frozen=True)
class RowRules:
    """What rows are held against.

    Attributes
    ----------
    calendar
        The exchange's.
    suite, newest_session
        See `include.quality.rows.find_broken_rows`.
    overridden
        Names of the expectations that an operator lets these rows off.
    """

    calendar: str
    suite: Sequence[AnyRow]
    newest_session: date | None = None
    overridden: Collection[str] = ()

    @property
    def has_levels(self) -> bool:
        """Whether the price level of a row is in question."""
        return LEVEL not in self.overridden


def judge_rows(bars: pa.Table, rules: RowRules) -> Verdict:
    """Part rows whose cells could all be read.

    Parameters
    ----------
    bars
        row_number, symbol, session and the window columns; all rows of each session that is among them.
    rules
        What they are held against.
    """
    broken = find_broken_rows(bars, rules.suite, rules.calendar, newest_session=rules.newest_session)
    refused = [
        Refusal(bars.filter(pa.array(broken == position)), expectation.name, expectation.sentence)
        for position, expectation in enumerate(rules.suite)
        if (broken == position).any()
    ]
    split = split_duplicates(bars, np.flatnonzero(broken < 0) if refused else None)
    if len(split.conflicting):
        refused.append(Refusal(bars.take(pa.array(split.conflicting)), CONFLICT, _CONFLICT_REASON))
    accepted = bars if split.is_identity else _take(bars, split.kept)
    quarantined = sum(refusal.rows.num_rows for refusal in refused)
    if accepted.num_rows + quarantined + len(split.exact) != bars.num_rows:
        raise ClosecastError("rows must equal accepted + quarantined + duplicates", value=bars.num_rows)
    return Verdict(accepted, refused, len(split.exact))


def _take(bars: pa.Table, kept: Rows) -> pa.Table:
    """Take rows by their positions: without a copy where they are long runs, as where a few rows are left out."""
    edges = np.flatnonzero(np.diff(kept) != 1) + 1
    if len(edges) * _RUN_ROWS > len(kept):
        return bars.take(pa.array(kept))
    bounds = pairwise([0, *edges.tolist(), len(kept)])
    runs = [bars.slice(int(kept[start]), stop - start) for start, stop in bounds if stop > start]
    return pa.concat_tables([bars.slice(0, 0), *runs])
