"""Whether a price continues its own history: moves beyond a symbol's own limit, and jumps to another level.

A move is told, never refused: $10,000 at 3 am may be true. A jump of the level by a hundred and more is most often a
redenomination or a slip of the decimal point, which only the sessions after it can tell apart: the row waits in
quarantine until `CONFIRMATIONS` later sessions stay at its level, then it and they are released together; where the
price comes back first, it stays there for good. Real moves of that size wait too (723x in the coins of 2018), so a
true one costs its symbol three sessions, and a false one never reaches a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from include.errors import InputError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEVEL_LIMIT = 100.0
"""Factor between two closes of a symbol from which the level is in doubt.

In 333,582 rows of 1,606 coins ten steps are as large, in 3,711,535 rows of 8,507 US symbols four (two slips and the two
ways back); at 20 they would be 48 and 7, most of them true: thin coins move by 20 to 60 in a day, and a reverse split
by 25 is ordinary.
"""

CONFIRMATIONS = 3
"""Later sessions that must stay at a level in doubt before it is believed."""

MOVE_SESSIONS = 60
"""Sessions of a symbol's own history that say how far it usually moves."""

MOVE_DEVIATIONS = 12.0
"""Robust standard deviations above the median move from which a move is told.

Daily returns have fat tails: at 12, 0.07 % of US moves and 0.21 % of coins' are told, a median of 5 and of 0 symbols a
session, which a person can read; at 8 it is 0.11 % and 0.55 %.
"""

MOVE_FLOOR = 0.2
"""Absolute log return up to which no move is told, however still the symbol was (22 %)."""

FEWEST_MOVES = 20
"""Moves that a symbol must have made before it has a limit; a newcomer is not judged by others' histories."""

_NORMAL_MAD = 1.4826
"""Median absolute deviation of a normal distribution to its standard deviation."""


@dataclass(frozen=True)
class Moves:
    """How far each symbol moved in the newest session, and how far it may before it is told.

    Attributes
    ----------
    log_return
        float64 (n_symbols,), newest close against the symbol's last one before; NaN where either is missing.
    limit
        float64 (n_symbols,), of the absolute log return; NaN where the symbol has too short a history to have one.
    is_beyond
        bool (n_symbols,).
    """

    log_return: Floats
    limit: Floats
    is_beyond: Mask


class Level(IntEnum):
    """What becomes of a row by its price level; WAITING and REFUSED are in quarantine."""

    ACCEPTED = 0
    WAITING = 1
    REFUSED = 2
    RELEASED = 3


@dataclass(frozen=True)
class LevelRows:
    """Closes ordered by symbol and then by session.

    Attributes
    ----------
    codes
        int64 (n_rows,), position of the row's symbol in `last_close`.
    sessions
        int64 (n_rows,), any numbers that order a symbol's sessions; strictly increasing within a symbol.
    closes
        float64 (n_rows,), greater than zero, quote currency.
    """

    codes: Codes
    sessions: Codes
    closes: Floats

    def __len__(self) -> int:
        return len(self.codes)


NO_ROWS: Final = LevelRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class LevelVerdicts:
    """A `Level` for each new row and for each row that was waiting, int8 (n_rows,) and int8 (n_waiting,)."""

    rows: npt.NDArray[np.int8]
    waiting: npt.NDArray[np.int8]


def find_moves(
    closes: npt.NDArray[np.floating],
    *,
    deviations: float = MOVE_DEVIATIONS,
    floor: float = MOVE_FLOOR,
    fewest: int = FEWEST_MOVES,
) -> Moves:
    """Find the symbols whose newest move is beyond a robust limit of their own history.

    The limit is the median absolute log return of the sessions before plus `deviations` robust standard deviations of
    it, at least `floor`. The newest move is not part of its own history.

    Parameters
    ----------
    closes
        Float (n_sessions, n_symbols), oldest first, the judged session last; NaN where a symbol has no row. A move goes
        from one row of a symbol to its next, however many sessions lie between.
    deviations, floor, fewest
        See `MOVE_DEVIATIONS`, `MOVE_FLOOR`, `FEWEST_MOVES`.

    Returns
    -------
    Moves
        Nothing is beyond where there are fewer than two sessions.
    """
    moves = _log_returns(np.asarray(closes, dtype=np.float64).T)
    newest, history = moves[:, -1], np.abs(moves[:, :-1])
    count = np.isfinite(history).sum(axis=1)
    middle = _median_of_present(history, count)
    spread = _median_of_present(np.abs(history - middle[:, None]), count)
    limit = np.maximum(middle + deviations * _NORMAL_MAD * spread, floor)
    limit[count < fewest] = np.nan
    with np.errstate(invalid="ignore"):
        return Moves(newest, limit, np.abs(newest) > limit)


def _log_returns(closes: Floats) -> Floats:
    """Return the log return of each present close against the present one before, (n_symbols, n_sessions)."""
    logs = np.log(closes)
    position = np.where(np.isfinite(logs), np.arange(logs.shape[1]), -1)
    last = np.maximum.accumulate(position, axis=1)
    before = np.concatenate([np.full((len(logs), 1), -1), last[:, :-1]], axis=1)
    earlier = np.take_along_axis(logs, np.maximum(before, 0), axis=1)
    return np.where(before >= 0, logs - earlier, np.nan)


def _median_of_present(values: Floats, count: Codes) -> Floats:
    """Return the median of each row's `count` numbers that are not NaN; NaN where there is none.

    By one sort, which puts NaN last: numpy's own nanmedian takes twenty times as long on (10,000, 60).
    """
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)
    row = np.arange(len(values))
    lower = ordered[row, np.maximum(count - 1, 0) // 2]
    upper = ordered[row, np.minimum(count // 2, values.shape[1] - 1)]
    return np.where(count > 0, (lower + upper) / 2, np.nan)


def judge_levels(
    rows: LevelRows,
    last_close: Floats,
    waiting: LevelRows = NO_ROWS,
    *,
    limit: float = LEVEL_LIMIT,
    confirmations: int = CONFIRMATIONS,
) -> LevelVerdicts:
    """Decide by its price level what becomes of each row.

    A row is in doubt where its close differs by `limit` or more from the symbol's last accepted close, however many
    sessions lie between: a gap of 81 sessions is in the real data, and what came during it is as unknown as after one.
    Then, for each later row of the symbol: it comes back to within the limit of that last accepted close, is accepted,
    and those in doubt are refused; or it is within the limit of the newest row in doubt and waits with them, until the
    one that makes `confirmations` later sessions, which is accepted and releases them; or it is at a third level, and
    the doubt begins anew there. A symbol's very first row has nothing to be compared with and is accepted.

    The outcome is the same whether rows come one session at a time or all at once, if what waits is carried: `waiting`
    are all rows in quarantine for their level whose session lies after the symbol's last accepted row (those already
    refused among them are refused again).

    Parameters
    ----------
    rows
        New rows, each after the symbol's last accepted row and after those that wait.
    last_close
        float64 (n_symbols,), last accepted close of each symbol; NaN where it has none.
    waiting
        Rows from earlier that are still in doubt.
    limit
        Factor, above 1.
    confirmations
        At least 1.

    Raises
    ------
    InputError
        Rows are out of order, a close is not positive, or a parameter is out of its range.
    """
    _require_parameters(limit, confirmations)
    merged, order = _merge(waiting, rows)
    _require_ordered(merged)
    verdicts = np.zeros(len(merged), dtype=np.int8)
    starts = np.ones(len(merged), dtype=bool)
    starts[1:] = merged.codes[1:] != merged.codes[:-1]
    before = _closes_before(merged, starts, last_close)
    jumps = np.flatnonzero(_differs(before, merged.closes, limit))
    ends = np.append(np.flatnonzero(starts)[1:], len(merged))
    settled = 0
    for jump in jumps.tolist():
        if jump >= settled:
            end = int(ends[np.searchsorted(ends, jump, side="right")])
            settled = _settle(merged.closes, verdicts, (jump, end), float(before[jump]), (limit, confirmations))
    unmerged = np.empty_like(verdicts)
    unmerged[order] = verdicts
    return LevelVerdicts(unmerged[len(waiting) :], unmerged[: len(waiting)])


def _settle(
    closes: Floats, verdicts: npt.NDArray[np.int8], span: tuple[int, int], anchor: float, rule: tuple[float, int]
) -> int:
    """Judge a symbol's rows from one in doubt to the one that settles it; return the position after that.

    Parameters
    ----------
    closes, verdicts
        Of all rows; verdicts are written.
    span
        Position of the row in doubt and the end of its symbol's rows.
    anchor
        The last accepted close.
    rule
        Limit and confirmations.
    """
    (first, end), (limit, confirmations) = span, rule
    verdicts[first] = Level.WAITING
    for at in range(first + 1, end):
        close = float(closes[at])
        if not _is_apart(anchor, close, limit):
            verdicts[first:at] = Level.REFUSED
            return at + 1
        if _is_apart(float(closes[at - 1]), close, limit):
            verdicts[first:at] = Level.REFUSED
            first = at
        elif at - first == confirmations:
            verdicts[first:at] = Level.RELEASED
            return at + 1
        verdicts[at] = Level.WAITING
    return end


def _is_apart(one: float, other: float, limit: float) -> bool:
    return max(one, other) >= limit * min(one, other)


def _differs(one: Floats, other: Floats, limit: float) -> Mask:
    """Say where two closes are apart by the limit; nothing is apart from NaN."""
    return np.asarray((one >= limit * other) | (other >= limit * one))


def _closes_before(rows: LevelRows, starts: Mask, last_close: Floats) -> Floats:
    """Return for each row the close of the symbol's row before it, or the last accepted one."""
    before = np.empty(len(rows))
    before[1:] = rows.closes[:-1]
    before[starts] = last_close[rows.codes[starts]]
    return before


def _merge(waiting: LevelRows, rows: LevelRows) -> tuple[LevelRows, Codes]:
    """Order both by symbol and session; the order gives each merged row its position among waiting, then rows."""
    if not len(waiting):
        return rows, np.arange(len(rows))
    # Both are ordered already and what waits is older: its place is before the first new row of its symbol.
    at = np.searchsorted(rows.codes, waiting.codes, side="left")
    order: Codes = np.insert(np.arange(len(waiting), len(waiting) + len(rows)), at, np.arange(len(waiting)))
    codes, sessions, closes = (
        np.concatenate([getattr(waiting, name), getattr(rows, name)])[order] for name in ("codes", "sessions", "closes")
    )
    return LevelRows(codes, sessions, closes), order


def _require_parameters(limit: float, confirmations: int) -> None:
    if not limit > 1:
        raise InputError("limit must be a factor above 1", value=limit, place="level_confirmed")
    if confirmations < 1:
        raise InputError("confirmations must be at least 1", value=confirmations, place="level_confirmed")


def _require_ordered(rows: LevelRows) -> None:
    step = np.diff(rows.codes)
    if ((step < 0) | ((step == 0) & (np.diff(rows.sessions) <= 0))).any():
        raise InputError("rows must be ordered by symbol and session, one row each", place="level_confirmed")
    if not (rows.closes > 0).all():
        raise InputError("closes must be greater than zero", value=float(np.min(rows.closes)), place="level_confirmed")
