"""Moves and levels: worked by hand, against a slow state machine, and on the real files to the row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import InputError
from include.ingest.judge import RowRules, judge_rows
from include.quality.continuity import Level, LevelRows, find_moves, judge_levels
from include.quality.suites import DEFAULT_FILE, read_suites
from include.uploads.read import read_upload

A, W, F, R = Level.ACCEPTED, Level.WAITING, Level.REFUSED, Level.RELEASED
NO_CLOSE = np.array([np.nan])


def rows_of(closes: list[float], *, first: int = 0, code: int = 0) -> LevelRows:
    count = len(closes)
    return LevelRows(np.full(count, code), np.arange(first, first + count), np.array(closes, dtype=float))


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        pytest.param([5.0], [A], id="a first row has nothing to be compared with"),
        pytest.param([1.0, 99.0, 0.999], [A, A, A], id="below the limit"),
        pytest.param([1.0, 100.0], [A, W], id="at the limit, upwards"),
        pytest.param([100.0, 1.0], [A, W], id="at the limit, downwards"),
        pytest.param([1.0, 1000.0, 1100.0, 900.0, 950.0, 960.0], [A, R, R, R, A, A], id="confirmed by three"),
        pytest.param([1.0, 1000.0, 1100.0, 900.0], [A, W, W, W], id="two do not confirm"),
        pytest.param([1.0, 1000.0, 1100.0, 1.2, 1.1], [A, F, F, A, A], id="the price comes back"),
        pytest.param([1.0, 1000.0, 1e6, 1e6, 1e6, 1e6], [A, F, R, R, R, A], id="a third level begins anew"),
        pytest.param([1.0, 1000.0, 1e5], [A, F, W], id="a third level at the limit"),
        pytest.param([1.0, 1000.0, 100.0], [A, W, W], id="not back at the limit"),
        pytest.param([1.0, 1000.0, 1e-3, 1.0], [A, F, F, A], id="both sides, then back"),
        pytest.param([1.0, 500.0, 500.0, 500.0, 500.0, 1.0, 500.0], [A, R, R, R, A, F, A], id="after a release"),
    ],
)
def test_levels_by_hand(closes: list[float], expected: list[Level]) -> None:
    assert judge_levels(rows_of(closes), NO_CLOSE).rows.tolist() == expected


def test_the_last_accepted_close_stands_before_the_first_row() -> None:
    assert judge_levels(rows_of([1000.0]), np.array([1.0])).rows.tolist() == [W]
    assert judge_levels(rows_of([1000.0], first=500), np.array([900.0])).rows.tolist() == [A]


def test_waiting_rows_are_released_by_the_row_that_confirms() -> None:
    found = judge_levels(rows_of([960.0], first=4), np.array([1.0]), rows_of([1000.0, 1100.0, 900.0], first=1))
    assert (found.waiting.tolist(), found.rows.tolist()) == ([R, R, R], [A])
    back = judge_levels(rows_of([1.1], first=4), np.array([1.0]), rows_of([1000.0, 1100.0, 900.0], first=1))
    assert (back.waiting.tolist(), back.rows.tolist()) == ([F, F, F], [A])


def test_confirmations_and_limit_are_parameters() -> None:
    assert judge_levels(rows_of([1.0, 30.0, 30.0]), NO_CLOSE, limit=20, confirmations=1).rows.tolist() == [A, R, A]


def test_symbols_do_not_touch_each_other() -> None:
    parts = [rows_of([1.0, 1.0], code=0), rows_of([1000.0, 1.0], code=1), rows_of([1e6], code=3)]
    rows = LevelRows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("codes", "sessions", "closes"))
    )
    waiting = rows_of([1e6], first=-1, code=2)
    found = judge_levels(rows, np.array([np.nan, np.nan, 1.0, np.nan]), waiting)
    assert (found.rows.tolist(), found.waiting.tolist()) == ([A, A, A, W, A], [W])


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (rows_of([1.0, 0.0]), {}, r"closes must be greater than zero\. Received: 0\.0"),
        (rows_of([1.0, np.nan]), {}, "closes must be greater than zero"),
        (LevelRows(np.array([0, 0]), np.array([1, 1]), np.ones(2)), {}, "one row each"),
        (LevelRows(np.array([1, 0]), np.array([1, 2]), np.ones(2)), {}, "ordered by symbol and session"),
        (rows_of([1.0]), {"limit": 1.0}, "limit must be a factor above 1"),
        (rows_of([1.0]), {"confirmations": 0}, "confirmations must be at least 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(rows: LevelRows, options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge_levels(rows, np.array([np.nan, np.nan]), **options)


def test_a_row_not_after_those_that_wait_is_refused() -> None:
    with pytest.raises(InputError, match="ordered by symbol and session"):
        judge_levels(rows_of([1.0], first=1), np.array([1.0]), rows_of([1000.0], first=1))


class SlowLevels:
    """One symbol's levels, a row at a time, from the sentence of the rule; what waits is a list."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.waiting: list[tuple[int, float]] = []
        self.outcome: dict[int, Level] = {}

    def feed(self, session: int, close: float) -> None:
        if self.last is None or 1 / 100 < close / self.last < 100:
            self.outcome |= {old: F for old, _ in self.waiting} | {session: A}
            self.last, self.waiting = close, []
            return
        if self.waiting and not 1 / 100 < close / self.waiting[-1][1] < 100:
            self.outcome |= {old: F for old, _ in self.waiting}
            self.waiting = []
        if len(self.waiting) == 3:
            self.outcome |= {old: R for old, _ in self.waiting} | {session: A}
            self.last, self.waiting = close, []
        else:
            self.waiting.append((session, close))
            self.outcome[session] = W


# Powers of seven never meet the limit of 100 exactly, where two ways to divide could round apart.
PRICES = st.integers(-6, 6).map(lambda power: 7.0**power)
HISTORIES = st.lists(st.lists(st.none() | PRICES, min_size=12, max_size=12), min_size=1, max_size=4)


def select(history: list[list[float | None]], sessions: range) -> LevelRows:
    found = [(code, at, symbol[at]) for code, symbol in enumerate(history) for at in sessions if symbol[at] is not None]
    codes, days, closes = zip(*found, strict=True) if found else ((), (), ())
    return LevelRows(np.array(codes, np.int64), np.array(days, np.int64), np.array(closes, float))


@given(HISTORIES)
@settings(max_examples=150, deadline=None)
def test_all_at_once_is_what_a_slow_machine_says(history: list[list[float | None]]) -> None:
    rows = select(history, range(12))
    found = judge_levels(rows, np.full(len(history), np.nan)).rows.tolist()
    expected = []
    for symbol in history:
        machine = SlowLevels()
        for session, close in enumerate(symbol):
            if close is not None:
                machine.feed(session, close)
        expected += [machine.outcome[session] for session in sorted(machine.outcome)]
    assert found == expected


@given(HISTORIES, st.sets(st.integers(1, 11)))
@settings(max_examples=150, deadline=None)
def test_sessions_one_by_one_end_as_all_at_once(history: list[list[float | None]], cuts: set[int]) -> None:
    bounds = [0, *sorted(cuts), 12]
    last = np.full(len(history), np.nan)
    last_seen = np.full(len(history), -1)
    state: dict[tuple[int, int], Level] = {}
    for first, end in pairwise(bounds):
        # What waits is looked up as a lake would: refused for the level, and after the symbol's last accepted row.
        kept = sorted(key for key, level in state.items() if level in {W, F} and key[1] > last_seen[key[0]])
        waiting = LevelRows(
            np.array([code for code, _ in kept], np.int64),
            np.array([at for _, at in kept], np.int64),
            np.array([history[code][at] for code, at in kept], float),
        )
        rows = select(history, range(first, end))
        found = judge_levels(rows, last, waiting)
        for part, verdicts in ((waiting, found.waiting), (rows, found.rows)):
            for code, at, verdict in zip(part.codes.tolist(), part.sessions.tolist(), verdicts.tolist(), strict=True):
                assert state.get((code, at)) in {None, W, F}
                state[code, at] = Level(verdict)
        for (code, at), level in sorted(state.items()):
            if level in {A, R} and at > last_seen[code]:
                last[code], last_seen[code] = history[code][at], at
    whole = select(history, range(12))
    once = judge_levels(whole, np.full(len(history), np.nan)).rows.tolist()
    assert [state[key] for key in zip(whole.codes.tolist(), whole.sessions.tolist(), strict=True)] == once


def test_only_the_symbols_that_jump_are_touched_among_a_million_rows() -> None:
    sessions, symbols = 200, 5000
    closes = np.ones((symbols, sessions))
    closes[:100, 90::7] = 5000.0
    codes = np.repeat(np.arange(symbols), sessions)
    found = judge_levels(
        LevelRows(codes, np.tile(np.arange(sessions), symbols), closes.ravel()), np.full(symbols, np.nan)
    ).rows
    assert (found == F).sum() == 100 * len(range(90, sessions, 7))
    assert set(codes[found == F].tolist()) == set(range(100))


@pytest.mark.shared_data
def test_levels_of_the_coins_to_the_row(shared_data: Path) -> None:
    with read_upload(shared_data / "crypto_daily_cmc_2013_2018.parquet") as upload:
        read = upload.bars.to_table()
    bars = judge_rows(read, RowRules("24/7", read_suites(DEFAULT_FILE).rows)).accepted
    bars = bars.sort_by([("symbol", "ascending"), ("session", "ascending")])
    assert bars.num_rows == 333_582
    released, refused = judge_file(bars["symbol"], bars["session"], bars["close"])
    assert released == {"b3coin": 3, "electra": 3, "erc20": 3, "paccoin": 3, "veros": 3}
    assert refused == {"experience-points": 4}


@pytest.mark.shared_data
def test_levels_of_us_symbols_to_the_row(shared_data: Path) -> None:
    columns = ["symbol", "date", "close"]
    bars = pq.read_table(shared_data / "us_daily_2015_2017.parquet", columns=columns)
    bars = bars.filter(pc.field("close") > 0)
    bars = bars.sort_by([("symbol", "ascending"), ("date", "ascending")])
    assert judge_file(*(bars[name] for name in columns)) == ({}, {"mtbcp.us": 2})


def judge_file(
    symbol: pa.ChunkedArray, session: pa.ChunkedArray, close: pa.ChunkedArray
) -> tuple[dict[str, int], dict[str, int]]:
    """Count released and refused rows by symbol; no row waits at the end."""
    encoded = symbol.cast(pa.string()).combine_chunks().dictionary_encode()
    names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
    days = session.cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    found = judge_levels(LevelRows(codes, days, close.to_numpy()), np.full(len(names), np.nan)).rows
    assert not (found == W).any()
    counts = [np.unique(codes[found == level], return_counts=True) for level in (R, F)]
    released, refused = ({names[code]: int(n) for code, n in zip(*count, strict=True)} for count in counts)
    return released, refused


def walk(sessions: int = 61, symbols: int = 4, step: float = 0.03) -> np.ndarray:
    """Closes that move by about `step` a session."""
    moves = np.random.default_rng(3).normal(0, step, size=(sessions, symbols))
    return np.exp(np.cumsum(moves, axis=0))


def test_a_move_beyond_the_own_history_is_told_and_others_are_not() -> None:
    closes = walk()
    closes[-1] = closes[-2] * [1.0, 1.65, 0.6, 1.04]
    found = find_moves(closes)
    assert found.is_beyond.tolist() == [False, True, True, False]
    np.testing.assert_allclose(found.log_return, np.log([1.0, 1.65, 0.6, 1.04]))


def test_the_limit_is_the_median_move_and_its_deviations_by_hand() -> None:
    logs = np.concatenate([[0.0], np.cumsum([0.1, 0.2, 0.3, 0.4, 0.5])])
    found = find_moves(np.exp(logs)[:, None], deviations=2, fewest=1)
    assert found.limit[0] == pytest.approx(0.25 + 2 * 1.4826 * 0.1)  # of 0.1, 0.2, 0.3, 0.4; the newest is judged
    assert found.is_beyond.tolist() == [False]


def test_a_still_symbol_has_the_floor_and_a_wild_one_its_own() -> None:
    closes = np.ones((61, 2))
    closes[:, 1] = walk(step=0.5)[:, 0]
    closes[-1] = closes[-2] * 1.3
    found = find_moves(closes)
    assert found.limit[0] == pytest.approx(0.2)
    assert found.is_beyond.tolist() == [True, False]


def test_missing_sessions_are_stepped_over_and_newcomers_not_judged() -> None:
    closes = walk(symbols=4)
    closes[-4:-1, 0] = np.nan  # compared with the close before the gap
    closes[-1, 0] = closes[-5, 0] * 2
    closes[:45, 1] = np.nan  # fifteen moves are no history
    closes[-1, 1] = closes[-2, 1] * 2
    closes[-1, 2] = np.nan  # no row in the judged session
    closes[:-1, 3] = np.nan  # listed in the judged session
    found = find_moves(closes)
    assert found.is_beyond.tolist() == [True, False, False, False]
    assert found.log_return[0] == pytest.approx(np.log(2))
    assert np.isnan(found.limit).tolist() == [False, True, False, True]
    assert np.isnan(found.log_return).tolist() == [False, False, True, True]


def test_one_session_has_no_moves() -> None:
    assert not find_moves(np.ones((1, 3))).is_beyond.any()
