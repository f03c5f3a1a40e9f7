"""The dense cube against a plain pivot of the same rows, and what counts as known at a session."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.errors import NotFoundError
from include.lake.bars import newest_session, open_bars, read_cube, read_windows, sessions_up_to
from include.lake.identity import SymbolChange, SymbolChanges
from include.schema import TARGETS, WINDOW_COLUMNS
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 5, 28) + timedelta(days=number) for number in range(9)]
SYMBOLS = [f"S{number}" for number in (10, 9, 1, 3, 20)] + ["é", "a"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A seeded market with holes: rows absent, volume and market cap missing, one symbol that ends, one that begins."""
    rng = np.random.default_rng(11)
    rows = []
    for at, day in enumerate(DAYS):
        for symbol in SYMBOLS:
            absent = rng.random() < 0.3 or (symbol == "S1" and at > 3) or (symbol == "S3" and at < 7)
            if not absent or (symbol, at) == ("S3", 8):
                numbers = dict(zip(WINDOW_COLUMNS, rng.lognormal(size=6), strict=True))
                holes = {name: None for name in ("volume", "market_cap") if rng.random() < 0.3}
                rows.append(bar_row(symbol, day, **numbers | holes))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    for _, rows in frame.groupby("session", sort=False):
        records = rows.astype(object).where(rows.notna(), None).to_dict("records")
        put_bars(folder, bar_rows(records))
    return folder


@pytest.mark.parametrize("last", [1, 5, 9])
@pytest.mark.parametrize("window", [None, 1, 4])
def test_cube_is_the_pivot_of_the_rows(lake: Path, frame: pd.DataFrame, last: int, window: int | None) -> None:
    sessions = DAYS[:last]
    cube = read_cube(open_bars(lake), sessions, window=window)
    known = frame[frame["session"].isin(sessions)]
    symbols = sorted(known["symbol"].unique(), key=str.encode)
    kept = sessions[-window:] if window else sessions
    assert cube.sessions == kept
    assert cube.symbols.tolist() == symbols
    assert cube.values.dtype == np.float32
    length = window or len(sessions)
    assert cube.values.shape == (length, len(symbols), len(WINDOW_COLUMNS))
    assert np.isnan(cube.values[: length - len(kept)]).all()
    for axis, name in enumerate(WINDOW_COLUMNS):
        pivot = known.pivot(index="session", columns="symbol", values=name).reindex(index=kept, columns=symbols)
        np.testing.assert_array_equal(cube.values[-len(kept) :, :, axis], pivot.to_numpy(dtype=np.float32))


@pytest.mark.parametrize("window", [None, 4, 99])
@pytest.mark.parametrize("whole", [1, 3])
def test_before_its_whole_sessions_a_cube_has_open_and_close(lake: Path, window: int | None, whole: int) -> None:
    cube, every = (read_cube(open_bars(lake), DAYS, window=window, whole=some) for some in (whole, None))
    targets = [WINDOW_COLUMNS.index(name) for name in TARGETS]
    np.testing.assert_array_equal(cube.values[-whole:], every.values[-whole:])
    np.testing.assert_array_equal(cube.values[:, :, targets], every.values[:, :, targets])
    others = [axis for axis in range(len(WINDOW_COLUMNS)) if axis not in targets]
    assert np.isnan(cube.values[:-whole, :, others]).all()
    np.testing.assert_array_equal(cube.last_close, every.last_close)
    np.testing.assert_array_equal(cube.last_seen, every.last_seen)
    np.testing.assert_array_equal(cube.mask, every.mask)


@pytest.mark.parametrize("window", [None, 1, 4, 99])
def test_last_close_and_last_seen_come_from_all_sessions(lake: Path, frame: pd.DataFrame, window: int | None) -> None:
    cube = read_cube(open_bars(lake), DAYS, window=window)
    newest = frame.sort_values("session").groupby("symbol").last().loc[cube.symbols]
    assert cube.last_close.dtype == np.float64
    np.testing.assert_array_equal(cube.last_close, newest["close"].to_numpy())
    assert [DAYS[at] for at in cube.last_seen] == newest["session"].tolist()


def test_cube_says_which_version_it_read(lake: Path) -> None:
    assert read_cube(open_bars(lake), DAYS[:1]).bars_version == len(DAYS) - 1
    assert read_cube(open_bars(lake, version=0), DAYS[:1]).bars_version == 0


def test_a_session_without_rows_is_all_missing(lake: Path) -> None:
    cube = read_cube(open_bars(lake), [DAYS[0], date(2018, 7, 1)])
    assert np.isnan(cube.values[1]).all()
    assert not np.isnan(cube.values[0, :, 0]).any()


def test_a_correction_is_not_seen_at_the_earlier_version(tmp_path: Path) -> None:
    put_bars(tmp_path, bar_rows([bar_row("A", DAYS[0])]))
    put_bars(tmp_path, bar_rows([bar_row("A", DAYS[0], close=1.75)]), replacing=True)
    found = [read_cube(open_bars(tmp_path, version=version), DAYS[:1]).last_close.tolist() for version in (0, 1)]
    assert found == [[1.5], [1.75]]


def test_sessions_up_to_a_session_hold_none_after_it(lake: Path) -> None:
    bars = open_bars(lake)
    assert sessions_up_to(bars, DAYS[4]) == DAYS[:5]
    assert sessions_up_to(bars, DAYS[4], count=3) == DAYS[2:5]
    assert sessions_up_to(bars, DAYS[4], count=99) == DAYS[:5]
    assert newest_session(lake) == DAYS[-1]


@pytest.mark.parametrize(
    ("day", "newest"), [(date(2018, 7, 1), "the newest before it is 2018-06-05"), (date(2017, 7, 1), "none before it")]
)
def test_a_session_without_bars_is_named(lake: Path, day: date, newest: str) -> None:
    with pytest.raises(NotFoundError, match=f"session {day} must have bars") as caught:
        sessions_up_to(open_bars(lake), day)
    assert caught.value.value == newest


@pytest.mark.parametrize("lookback", [1, 4, 99])
@pytest.mark.parametrize("columns", [WINDOW_COLUMNS, ("volume", "close")])
def test_windows_are_the_pivot_turned_to_symbols(
    lake: Path, frame: pd.DataFrame, lookback: int, columns: tuple[str, ...]
) -> None:
    found = read_windows(open_bars(lake), DAYS[6], lookback=lookback, columns=columns)
    kept = DAYS[:7][-lookback:]
    known = frame[frame["session"].isin(kept)]
    assert found.sessions == kept
    assert found.symbols.tolist() == sorted(known["symbol"].unique(), key=str.encode)
    assert found.values.shape == (len(found.symbols), lookback, len(columns))
    absent = lookback - len(kept)
    assert not found.mask[:, :absent].any()
    assert np.isnan(found.values[:, :absent]).all()
    present = known.pivot(index="symbol", columns="session", values="open").reindex(found.symbols, columns=kept).notna()
    np.testing.assert_array_equal(found.mask[:, absent:], present.to_numpy())
    for axis, name in enumerate(columns):
        pivot = known.pivot(index="symbol", columns="session", values=name).reindex(found.symbols, columns=kept)
        np.testing.assert_array_equal(found.values[:, absent:, axis], pivot.to_numpy(dtype=np.float32))


def test_windows_of_some_symbols(lake: Path) -> None:
    every = read_windows(open_bars(lake), DAYS[6], lookback=3)
    some = read_windows(open_bars(lake), DAYS[6], lookback=3, symbols=["a", "S9", "nosuch"])
    assert some.symbols.tolist() == ["S9", "a"]
    chosen = np.isin(every.symbols, some.symbols)
    np.testing.assert_array_equal(some.values, every.values[chosen])
    assert read_windows(open_bars(lake), DAYS[6], lookback=3, symbols=[]).values.shape == (0, 3, 6)


def test_the_mask_of_a_cube_says_where_a_row_is(lake: Path, frame: pd.DataFrame) -> None:
    cube = read_cube(open_bars(lake), DAYS)
    assert cube.mask.sum() == len(frame)


@pytest.mark.parametrize("window", [None, 2])
def test_a_cube_is_read_under_the_names_of_its_newest_session(tmp_path: Path, window: int | None) -> None:
    put_bars(tmp_path, bar_rows(bar_row(symbol, day) for day in DAYS[:3] for symbol in ("A", "B")))
    put_bars(tmp_path, bar_rows(bar_row(symbol, DAYS[3]) for symbol in ("B", "N")))
    changes = SymbolChanges((SymbolChange("A", "N", DAYS[3], 10.0),))
    before = read_cube(open_bars(tmp_path), DAYS[:3], window=window, changes=changes)
    assert before.symbols.tolist() == ["A", "B"]
    cube = read_cube(open_bars(tmp_path), DAYS[:4], window=window, changes=changes)
    assert cube.symbols.tolist() == ["B", "N"]
    assert cube.values[-2:, 1, 3].tolist() == [15.0, 1.5]
    assert cube.last_close.tolist() == [1.5, 1.5]
    ended = SymbolChanges((SymbolChange("B", "O", DAYS[3]),))
    assert read_cube(open_bars(tmp_path), DAYS[:4], window=window, changes=ended).symbols.tolist() == ["A", "N", "O"]
