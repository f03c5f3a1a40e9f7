"""What the lake holds before a session, and what it says about the session: pure findings over dense arrays.

Read once, with the columns that the expectations need: the closes of many sessions, all numbers of the newest two.
Great Expectations' metrics (`include.quality.custom`) call the findings; each is arithmetic over all symbols at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.lake.bars import sessions_up_to
from include.lake.dense import locate_sessions, read_floats
from include.lake.reads import read_partitions
from include.market.sessions import sessions_between
from include.quality.continuity import find_moves
from include.quality.drift import DriftReference
from include.quality.drift import judge_session as compare_with_reference
from include.quality.reference import NO_REFERENCE
from include.schema import WINDOW_COLUMNS

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Finding:
    """What was found: names (symbols, sessions or columns), of how many, and a few words on what was observed."""

    names: list[str]
    of: int
    observed: str

    @property
    def share(self) -> float:
        """Share of `of` that was found; 0 where there was nothing to look at."""
        return len(self.names) / self.of if self.of else 0.0


@dataclass(frozen=True, eq=False)
class SessionHistory:
    """A session beside those before it.

    Attributes
    ----------
    session, closed
        The judged session, and whether it has closed.
    bars
        Its rows, all columns of the table.
    before
        The sessions before it in the lake, oldest first.
    absent
        Of the sessions before it on the calendar, newest first, whether each is missing in the lake.
    counts
        int64 (n_before,), their rows.
    symbols
        (n_symbols,), those of the judged session and of all before.
    closes
        float64 (n_before + 1, n_symbols), NaN where there is no row; the judged session last.
    newest
        float64 (n_newest, n_symbols, 6), the newest sessions' numbers as `schema.WINDOW_COLUMNS`; the judged one last.
    reference
        Distributions kept with the model in Production (`include.quality.drift`), or why there are none.
    """

    session: date
    closed: bool
    bars: pa.Table
    before: list[date]
    absent: dict[date, bool]
    counts: npt.NDArray[np.int64]
    symbols: Names
    closes: Floats
    newest: Floats
    reference: DriftReference | str = NO_REFERENCE

    def __deepcopy__(self, memo: dict[int, Any]) -> SessionHistory:
        """Stay the same: pandas copies what is attached to a frame with every slice of it, and nothing here changes."""
        return self


def read_history(
    bars: DeltaTable,
    session: date,
    *,
    calendar: str,
    closed: bool,
    depth: int,
    full: int = 2,
    calendar_depth: int = 1,
    reference: DriftReference | str = NO_REFERENCE,
) -> SessionHistory:
    """Read a session and what lies before it.

    Parameters
    ----------
    bars
        The table, open at the version that is judged.
    session
        Must have bars.
    calendar, closed
        Name of the exchange's calendar; whether the session has closed.
    depth
        Sessions before it whose closes are read.
    full
        Newest sessions, the judged one among them, whose numbers are all read.
    calendar_depth
        Sessions before it on the calendar that are looked for.
    reference
        See `SessionHistory`.

    Raises
    ------
    NotFoundError
        The session has no bars.
    """
    held = sessions_up_to(bars, session)
    sessions = held[-depth - 1 :]
    recent = sessions[-full:]
    older = read_partitions(bars, "session", sessions[:-full], columns=["session", "symbol", "close"])
    judged = read_partitions(bars, "session", [session])
    columns = ["session", "symbol", *WINDOW_COLUMNS]
    newer = pa.concat_tables([read_partitions(bars, "session", recent[:-1], columns=columns), judged.select(columns)])
    return SessionHistory(
        session=session,
        closed=closed,
        bars=judged,
        before=sessions[:-1],
        absent=_find_absent(held, calendar, calendar_depth),
        reference=reference,
        **_make_dense(older, newer, sessions, len(recent)),
    )


def _make_dense(older: pa.Table, newer: pa.Table, sessions: list[date], recent: int) -> dict[str, Any]:
    """Make the arrays of a history: symbols, closes of all sessions, all numbers of the `recent` newest, counts."""
    symbols, codes = _encode_symbols(older, newer)
    older_code, newer_code = np.split(codes, [older.num_rows])
    older_at, newer_at = locate_sessions(older, sessions), locate_sessions(newer, sessions)
    closes = np.full((len(sessions), len(symbols)), np.nan)
    closes[older_at, older_code] = read_floats(older, "close")
    closes[newer_at, newer_code] = read_floats(newer, "close")
    newest = np.full((recent, len(symbols), len(WINDOW_COLUMNS)), np.nan)
    for axis, name in enumerate(WINDOW_COLUMNS):
        newest[newer_at - len(sessions) + recent, newer_code, axis] = read_floats(newer, name)
    counts = np.bincount(np.concatenate([older_at, newer_at]), minlength=len(sessions))
    return {"symbols": symbols, "closes": closes, "newest": newest, "counts": counts[:-1]}


def _encode_symbols(*tables: pa.Table) -> tuple[Names, npt.NDArray[np.int64]]:
    """Give each row of all tables, one after the other, the position of its symbol among all symbols."""
    chunks = [chunk for table in tables for chunk in table["symbol"].chunks]
    encoded = pa.chunked_array(chunks, type=pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
    if not encoded.num_chunks:
        return np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
    joined = encoded.combine_chunks()
    codes = pc.fill_null(joined.indices, len(joined.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
    known = joined.dictionary.to_numpy(zero_copy_only=False)
    return np.concatenate([known, np.array([None], dtype=object)]), codes  # a row without a symbol has the last place


def _find_absent(held: list[date], calendar: str, depth: int) -> dict[date, bool]:
    """Say of each of the last `depth` calendar sessions before the newest held one whether the lake lacks it.

    A lake begins somewhere: sessions before its first one are not missed.
    """
    on_calendar = [day for day in sessions_between(calendar, held[0], held[-1]) if day < held[-1]]
    return {day: day not in set(held) for day in reversed(on_calendar[-depth:])}


def find_missing(history: SessionHistory) -> Finding:
    """Find the symbols of the session before that the judged one lacks."""
    if not history.before:
        return Finding([], 0, "the first session")
    there, here = np.isfinite(history.closes[-2:])
    missing = history.symbols[there & ~here]
    return _of_symbols(missing, int(there.sum()), f"of session {history.before[-1]}")


def find_copied(history: SessionHistory) -> Finding:
    """Find the symbols whose six numbers are those of the session before; missing equals missing."""
    if not history.before:
        return Finding([], 0, "the first session")
    yesterday, today = history.newest[-2], history.newest[-1]
    both = np.isfinite(history.closes[-2:]).all(axis=0)
    same = ((today == yesterday) | (np.isnan(today) & np.isnan(yesterday))).all(axis=1)
    return _of_symbols(history.symbols[both & same], int(both.sum()), f"like session {history.before[-1]}")


def find_absent_sessions(history: SessionHistory) -> Finding:
    """Find the calendar sessions before it that the lake lacks."""
    absent = [str(day) for day, is_absent in history.absent.items() if is_absent]
    return Finding(absent, len(history.absent), f"{len(absent)} of {len(history.absent)} sessions before it absent")


def find_stale(history: SessionHistory, *, closes: int) -> Finding:
    """Find the symbols that reach so many equal closes running with the judged session, and had not before it.

    A symbol is named once, not on every session that it stays where it is; a session without a row ends a run.
    """
    run, seen = history.closes[-closes:], int(np.isfinite(history.closes[-1]).sum())
    if len(run) < closes:
        return Finding([], seen, f"fewer than {closes} sessions")
    equal = (run == run[-1]).all(axis=0)
    if len(history.closes) > closes:
        equal &= history.closes[-closes - 1] != run[-1]
    return _of_symbols(history.symbols[equal], seen, f"{closes} equal closes")


def find_wide_moves(history: SessionHistory, *, sessions: int, deviations: float, floor: float, fewest: int) -> Finding:
    """Find the symbols whose close moved beyond their own limit, the widest first, with the move of each."""
    moves = find_moves(history.closes[-sessions - 1 :], deviations=deviations, floor=floor, fewest=fewest)
    beyond = np.flatnonzero(moves.is_beyond)
    widest = beyond[np.argsort(-np.abs(moves.log_return[beyond]), kind="stable")]
    factors = np.exp(moves.log_return[widest[:20]])
    shown = ", ".join(f"{history.symbols[at]} x{factor:.3g}" for at, factor in zip(widest, factors, strict=False))
    names = [str(name) for name in history.symbols[widest]]
    return Finding(names, int(np.isfinite(moves.log_return).sum()), shown or "none")


def find_drifted(history: SessionHistory) -> Finding:
    """Find the columns whose distribution has left the reference, with each statistic beside its limit."""
    if isinstance(history.reference, str):
        return Finding([], 0, history.reference)
    judged = compare_with_reference(history.reference, history.newest[-1], history.newest[:-1])
    drifted = [each for each in judged if each.drifted]
    shown = ", ".join(f"{each.column} {each.statistic} {each.value:.3g} > {each.limit:.3g}" for each in drifted)
    names = list(dict.fromkeys(each.column for each in drifted))
    since = f"reference {history.reference.first_session} to {history.reference.last_session}"
    return Finding(names, len({each.column for each in judged}), f"{shown or 'none'} ({since})")


def _of_symbols(names: Names, of: int, words: str) -> Finding:
    share = len(names) / of if of else 0.0
    return Finding(sorted(map(str, names)), of, f"{len(names)} of {of:,} symbols ({100 * share:.2f} %) {words}")
