"""One step ahead through an upload: each row that stands is forecast from the sessions up to the row before it.

Rows come in blocks of whole sessions, oldest first, and only the newest sessions of each symbol stay in memory. Every
row is once the origin of a forecast: of its symbol's next row, or of the session after the last.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.answers.batches import Batches
from include.answers.windows import Codes, RollingWindows
from include.lake.bars import MOST_MISSING
from include.lake.dense import read_floats
from include.registry.artifact import ModelVersion
from include.schema import TARGETS, WINDOW_COLUMNS, Status
from include.scoring.inputs import read_market_columns, read_precision
from include.scoring.rows import FALLBACK_REASON

STATUSES = tuple(Status)
SCORED, FALLBACK, TOO_SHORT, MISSING = (
    STATUSES.index(status) for status in (Status.SCORED, Status.FALLBACK, Status.TOO_SHORT, Status.MISSING)
)
"""Positions in STATUSES of those that a row that stands can have."""

_OPEN, _CLOSE = WINDOW_COLUMNS.index("open"), WINDOW_COLUMNS.index("close")
Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of some rows, arrays of one length n; days are counted since 1970.

    Attributes
    ----------
    codes, days
        int32, the symbol and the session that is forecast.
    as_of
        int32, the session of the row before, which nothing after was read for; -1 where there is no row before.
    predicted, actual
        float64 (n, 2), open and close; NaN where there is no forecast, and where nothing has come yet.
    last_close
        float64, of the row before; NaN where there is none.
    status
        int8, position in STATUSES.
    count
        int32, what the reason counts: sessions with a row (too_short), sessions without one (missing).
    """

    codes: Codes
    days: Days
    as_of: Days
    predicted: Floats
    actual: Floats
    last_close: Floats
    status: npt.NDArray[np.int8]
    count: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """Give some of the rows, by a mask or by positions."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Origins:
    """What rows say of the sessions after them, arrays of one length n.

    Attributes
    ----------
    position
        int64, which session of the upload the row is of; -1 where there is no row.
    last_close
        float64, its close.
    returns
        float64 (n, 2), log returns that the graph gave; NaN where it was not asked or gave no finite number.
    observed
        int32, sessions with a row in the window that the row ends.
    """

    position: npt.NDArray[np.int64]
    last_close: Floats
    returns: Floats
    observed: Days

    @classmethod
    def none(cls, count: int) -> Self:
        """Give origins of symbols that have no row yet."""
        nothing, returns = np.full(count, np.nan), np.full((count, len(TARGETS)), np.nan)
        return cls(np.full(count, -1, dtype=np.int64), nothing, returns, np.zeros(count, dtype=np.int32))

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """Give some of them, by a mask or by positions."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def put(self, at: npt.NDArray[Any], others: Origins) -> None:
        """Write others over some of them."""
        for field in fields(self):
            getattr(self, field.name)[at] = getattr(others, field.name)


def say_reason(status: int, count: int, lookback: int) -> str | None:
    """Say in words why a row has the status that it has; None where it was forecast by the model."""
    if status == TOO_SHORT:
        return f"{count} of the {lookback} sessions before it present, at least {lookback - MOST_MISSING} are needed"
    if status == MISSING:
        return f"no row for {count} session(s) before it, at most {MOST_MISSING} may be missing"
    if status == FALLBACK:
        return FALLBACK_REASON
    return None


class OneStepAhead:
    """The state between blocks: windows, and what each symbol's newest row says of the session after it.

    Parameters
    ----------
    batches
        Threads that run the model's graph.
    symbols
        How many the upload has; a symbol is known by its code.
    model
        The graph's window.
    place
        File name, for messages.
    """

    def __init__(self, batches: Batches, symbols: int, model: ModelVersion, place: str) -> None:
        self._batches, self._lookback = batches, model.lookback
        self._precision, market = read_precision(batches.graph), read_market_columns(batches.graph)
        self._windows = RollingWindows(symbols, model.lookback, place, market=market, precision=self._precision)
        self._session_days = np.empty(0, np.int32)
        self._newest = Origins.none(symbols)

    @property
    def last_day(self) -> int | None:
        """The newest session so far, in days since 1970."""
        return int(self._session_days[-1]) if len(self._session_days) else None

    def forecast(self, bars: pa.Table) -> Forecasts:
        """Forecast the rows of a block, ordered by session; each then becomes the origin of what follows it.

        Parameters
        ----------
        bars
            symbol (one dictionary for all blocks), session and the window columns; no symbol and session twice.
        """
        codes = bars["symbol"].unify_dictionaries().combine_chunks().indices.to_numpy()
        days = bars["session"].cast(pa.int32()).to_numpy()
        values = np.stack([read_floats(bars, name) for name in WINDOW_COLUMNS], axis=1)
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        position = len(self._session_days) + np.cumsum(np.diff(days, prepend=days[:1]) > 0)
        returns, observed = self._run(codes, values, starts)
        self._session_days = np.append(self._session_days, days[starts])
        order = np.argsort(codes, kind="stable")  # by symbol, each symbol's rows in time order
        made = Origins(position, values[:, _CLOSE], returns, observed).take(order)
        before = self._find_before(codes[order], made)
        actual = values[order][:, [_OPEN, _CLOSE]]
        return self._describe((codes[order], days[order], made.position), actual, before)

    def forecast_next(self, day_after: int) -> Forecasts:
        """Forecast, for every symbol with a row, the session after its last one.

        Parameters
        ----------
        day_after
            The session after the upload's last one, in days since 1970.
        """
        codes = np.flatnonzero(self._newest.position >= 0).astype(np.int32)
        origins = self._newest.take(codes)
        position = origins.position + 1
        days = np.append(self._session_days, np.int32(day_after)).astype(np.int32)[position]
        actual = np.full((len(codes), len(TARGETS)), np.nan)
        return self._describe((codes, days, position), actual, origins)

    def _run(self, codes: Codes, values: Floats, starts: npt.NDArray[np.int64]) -> tuple[Floats, Days]:
        """Run the graph from every row whose window has enough sessions, a session after the other."""
        returns = np.full((len(codes), len(TARGETS)), np.nan)
        observed = np.zeros(len(codes), dtype=np.int32)
        rounded = values.astype(self._precision)
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(codes)], strict=True):
            some = codes[start:stop]
            observed[start:stop] = seen = self._windows.advance(some, rounded[start:stop])
            enough = np.flatnonzero(seen >= self._lookback - MOST_MISSING)
            asked = some[enough]
            self._batches.add(start + enough, asked, self._windows.gather(asked), returns)
        self._batches.finish(returns)
        return returns, observed

    def _find_before(self, codes: Codes, made: Origins) -> Origins:
        """Give the row before each row of a block, by symbol and time; keep each symbol's newest."""
        is_first = np.ones(len(codes), dtype=bool)
        np.not_equal(codes[1:], codes[:-1], out=is_first[1:])
        is_last = np.append(is_first[1:], True)
        before = made.take(np.arange(-1, len(codes) - 1))
        before.put(is_first, self._newest.take(codes[is_first]))
        self._newest.put(codes[is_last], made.take(is_last))
        return before

    def _describe(
        self, where: tuple[Codes, Days, npt.NDArray[np.int64]], actual: Floats, origins: Origins
    ) -> Forecasts:
        """Turn log returns into prices with a status; `where` is symbol, day and session of what is forecast."""
        codes, days, position = where
        absent = position - origins.position - 1
        with np.errstate(over="ignore"):
            predicted = origins.last_close[:, None] * np.exp(origins.returns)
        # Of a model that forecasts one target alone, the last close stands in for the other.
        stands_in = ~(np.isfinite(predicted) & (predicted > 0))
        predicted = np.where(stands_in, origins.last_close[:, None], predicted)
        rules = [origins.observed < self._lookback - MOST_MISSING, absent > MOST_MISSING, stands_in.all(axis=1)]
        status = np.select(rules, [TOO_SHORT, MISSING, FALLBACK], SCORED).astype(np.int8)
        count = np.select(rules[:2], [origins.observed, absent], 0).astype(np.int32)
        predicted[(status == TOO_SHORT) | (status == MISSING)] = np.nan
        as_of = np.append(self._session_days, np.int32(-1))[origins.position]  # a position of -1 takes the last
        return Forecasts(codes, days, as_of.astype(np.int32), predicted, actual, origins.last_close, status, count)
