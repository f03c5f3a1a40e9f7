"""The simulated exchange: its signal, its dirt, its files, and that a model could know no more than it says."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from include.errors import InputError
from include.market.exchange import UPLOAD_COLUMNS, SimulatedExchange, simulate_exchange, write_exchange
from include.market.sessions import is_session

LAST = date(2018, 6, 29)


def make(symbols: int = 300, sessions: int = 120, **chosen: object) -> SimulatedExchange:
    arguments = {"calendar": "24/7", "seed": 7, "last_session": LAST} | chosen
    return simulate_exchange(symbols=symbols, sessions=sessions, **arguments)


@pytest.fixture(scope="module")
def clean() -> SimulatedExchange:
    return make(clean=True)


@pytest.fixture(scope="module")
def dirty() -> SimulatedExchange:
    return make(symbols=2000, sessions=365)


def read_bars(paths: list[Path]) -> dict[tuple[str, date], dict[str, float]]:
    tables = [pq.read_table(p) if p.suffix == ".parquet" else pacsv.read_csv(p) for p in paths]
    return {(row["symbol"], row["date"]): row for table in tables for row in table.to_pylist()}


def test_same_seed_same_bars_other_seed_other_bars(clean: SimulatedExchange) -> None:
    again, other = make(clean=True), make(clean=True, seed=8)
    for field in fields(clean):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(clean, field.name))
    assert not np.allclose(other.close, clean.close, equal_nan=True)


def test_conditional_mean_follows_from_the_written_bars(clean: SimulatedExchange, tmp_path: Path) -> None:
    """The documented formulas on what a model sees, written out again here."""
    bars = read_bars(write_exchange(clean, tmp_path, live_sessions=20))
    checked = 0
    for t in range(1, len(clean.sessions), 7):
        for i in range(0, len(clean.symbols), 11):
            now = bars.get((clean.symbols[i], clean.sessions[t]))
            before = bars.get((clean.symbols[i], clean.sessions[t] - timedelta(days=1)))
            if now is None or before is None:
                assert np.isnan(clean.conditional_mean[t, i]).all()
                continue
            body, earlier = np.log(now["close"] / now["open"]), np.log(before["close"] / before["open"])
            volume = np.log(now["volume"] / before["volume"])
            gap = 0.25 * body + 0.10 * earlier + 0.28 * body * np.tanh(volume)
            np.testing.assert_allclose(clean.conditional_mean[t, i], [gap, gap + 0.10 * body], atol=1e-12)
            checked += 1
    assert checked > 200


def test_conditional_mean_is_unbiased() -> None:
    """Actual on forecast has slope 1 and intercept 0; many sessions, because symbols share a market factor."""
    big = make(symbols=50, sessions=8000, clean=True)
    actual, expected = big.realised_returns(), big.conditional_mean[:-1]
    for target in range(2):
        usable = np.isfinite(actual[..., target]) & np.isfinite(expected[..., target])
        slope, intercept = np.polyfit(expected[..., target][usable], actual[..., target][usable], 1)
        assert slope == pytest.approx(1, abs=0.05)
        assert intercept == pytest.approx(0, abs=0.003)


def test_explained_variance_is_as_documented_and_partly_nonlinear() -> None:
    exchange = make(symbols=1500, sessions=200, clean=True)
    shares = exchange.explained_variance()
    assert 0.18 < shares["open"] < 0.27
    assert 0.08 < shares["close"] < 0.15
    actual, bodies = exchange.realised_returns()[1:, :, 0], np.log(exchange.close / exchange.open)
    seen = np.stack([bodies[1:-1], bodies[:-2]], axis=-1)
    usable = np.isfinite(actual) & np.isfinite(seen).all(axis=-1)
    weights = np.linalg.lstsq(seen[usable], actual[usable], rcond=None)[0]
    linear = 1 - ((actual[usable] - seen[usable] @ weights) ** 2).sum() / (actual[usable] ** 2).sum()
    assert 0.6 < linear / shares["open"] < 0.85


def test_no_signal_is_exactly_zero() -> None:
    exchange = make(signal=0.0)
    known = exchange.conditional_mean[np.isfinite(exchange.conditional_mean)]
    assert len(known)
    assert (known == 0).all()
    assert exchange.explained_variance() == {"open": 0.0, "close": 0.0}


def test_strongest_signal_does_not_explode() -> None:
    exchange = make(symbols=100, sessions=730, signal=3.0)
    bodies = np.log(exchange.close / exchange.open)
    assert np.nanstd(bodies[-100:]) < 3 * np.nanstd(bodies[:100])


def test_clean_bars_are_sane(clean: SimulatedExchange) -> None:
    listed = clean.listed
    np.testing.assert_array_equal(clean.published, listed)
    np.testing.assert_array_equal(clean.clean, listed)
    assert not clean.twice.any()
    for name in ("open", "high", "low", "close", "volume", "market_cap"):
        assert (getattr(clean, name)[listed] > 0).all()
        assert np.isnan(getattr(clean, name)[~listed]).all()
    assert (clean.low <= np.minimum(clean.open, clean.close))[listed].all()
    assert (clean.high >= np.maximum(clean.open, clean.close))[listed].all()
    assert np.abs(np.diff(np.log(clean.close), axis=0)[listed[1:] & listed[:-1]]).max() < 1.5


def test_symbols_come_and_go(dirty: SimulatedExchange) -> None:
    first, last = dirty.listed[0], dirty.listed[-1]
    assert 0.70 < first.mean() < 0.90
    assert 0.97 < last.mean() < 0.995
    starts = (dirty.listed[1:] & ~dirty.listed[:-1]).sum(axis=0)
    assert set((starts + first).tolist()) == {1}
    assert (dirty.listed.sum(axis=0) == 1).any()


def test_dirt_comes_at_the_documented_rates(dirty: SimulatedExchange) -> None:
    came = dirty.published
    rates = {
        "market cap missing": (np.isnan(dirty.market_cap[came]).mean(), 0.1376),
        "volume zero": ((dirty.volume[came] == 0).mean(), 0.0030),
        "volume missing": (np.isnan(dirty.volume[came]).mean(), 0.0042),
        "second row": (dirty.twice.sum() / (came.sum() + dirty.twice.sum()), 0.0099),
        "low above open": ((dirty.low > np.minimum(dirty.open, dirty.close))[came].mean(), 0.00011),
    }
    for name, (simulated, real) in rates.items():
        assert simulated == pytest.approx(real, rel=0.5), name
    assert (dirty.high >= dirty.low)[came].all()


def test_gaps_jumps_and_halts(dirty: SimulatedExchange) -> None:
    missing = (dirty.listed & ~dirty.published).sum() / dirty.listed.sum()
    assert 0.002 < missing < 0.02
    moves = np.abs(np.diff(np.log(dirty.close), axis=0))
    moves = moves[np.isfinite(moves)]
    assert 1e-4 < (moves > np.log(2)).mean() < 2e-3
    assert np.log(100) < moves.max() < 10
    flat = dirty.published & (dirty.volume == 0) & (dirty.high == dirty.low)
    assert flat.any()
    assert not (flat & dirty.clean).any()


def test_spoiled_rows_are_not_called_clean(dirty: SimulatedExchange) -> None:
    good = dirty.clean
    assert 0.9 < good[dirty.published].mean() < 1
    assert not (good & ~dirty.published).any()
    assert (dirty.volume[good] > 0).all()
    known = np.isfinite(dirty.conditional_mean).all(axis=-1)
    np.testing.assert_array_equal(known[1:], good[1:] & good[:-1])
    assert not known[0].any()
    assert (dirty.low <= np.minimum(dirty.open, dirty.close))[good].all()
    assert 0.15 < dirty.explained_variance()["open"] < 0.27


@pytest.mark.parametrize(("form", "live"), [("parquet", 5), ("csv.gz", 5), ("parquet", 0)])
def test_history_and_uploads_hold_every_row_once_more_for_a_second_source(tmp_path: Path, form: str, live: int) -> None:
    exchange = make(symbols=400, sessions=60)
    written = write_exchange(exchange, tmp_path, live_sessions=live, history_format=form)
    assert [p.name for p in written] == [
        f"history.{form}",
        *(f"{day.isoformat()}.csv" for day in exchange.sessions[len(exchange.sessions) - live :]),
    ]
    history = pq.read_table(written[0]) if form == "parquet" else pacsv.read_csv(written[0])
    stop = len(exchange.sessions) - live
    assert history.num_rows == exchange.published[:stop].sum() + exchange.twice[:stop].sum()
    for t, path in enumerate(written[1:], start=stop):
        assert pacsv.read_csv(path).num_rows == exchange.published[t].sum()
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(p.name for p in written)
    assert tuple(history.column_names) == UPLOAD_COLUMNS


def test_second_source_gives_the_same_or_other_numbers(tmp_path: Path) -> None:
    exchange = make(symbols=400, sessions=60)
    history = pq.read_table(write_exchange(exchange, tmp_path, live_sessions=0)[0])
    counts = history.group_by(list(UPLOAD_COLUMNS), use_threads=False).aggregate([([], "count_all")])
    exact = pc.sum(pc.greater(counts["count_all"], 1)).as_py()
    assert exact == (exchange.twice & ~exchange.twice_different).sum() > 0
    pairs = history.group_by(["symbol", "date"]).aggregate([("open", "count_distinct")])
    assert pc.sum(pc.equal(pairs["open_count_distinct"], 2)).as_py() == exchange.twice_different.sum() > 0


def test_some_dirty_uploads_are_written_as_a_website_gives_them(tmp_path: Path) -> None:
    exchange = make(symbols=200, sessions=60)
    texts = [p.read_text() for p in write_exchange(exchange, tmp_path, live_sessions=40)[1:]]
    raw = [text for text in texts if ',"-"' in text]
    assert 3 <= len(raw) <= 20
    t = len(exchange.sessions) - 40 + texts.index(raw[0])
    i = int(np.flatnonzero(exchange.published[t] & (exchange.market_cap[t] > 1e6))[0])
    assert f'"{exchange.market_cap[t, i]:,.0f}"' in raw[0]


def test_clean_uploads_are_plain(clean: SimulatedExchange, tmp_path: Path) -> None:
    for path in write_exchange(clean, tmp_path, live_sessions=10)[1:]:
        table = pacsv.read_csv(path)
        assert {str(kind) for kind in table.schema.types[2:]} <= {"double", "int64"}


def test_sessions_are_those_of_the_calendar() -> None:
    exchange = make(symbols=3, sessions=250, calendar="XNYS", last_session=date(2017, 7, 5))
    assert exchange.sessions[-3:] == [date(2017, 6, 30), date(2017, 7, 3), date(2017, 7, 5)]
    assert all(is_session("XNYS", day) for day in exchange.sessions)
    assert len(exchange.sessions) == exchange.close.shape[0] == 250


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []

    def remember(done: int, total: int, text: str) -> None:
        told.append((done, total, text))

    exchange = make(symbols=5, sessions=50, on_progress=remember)
    write_exchange(exchange, tmp_path, live_sessions=3, on_progress=remember)
    assert (50, 50, "simulating sessions") in told
    assert (47, 47, "writing the history") in told
    assert told[-1] == (3, 3, "writing uploads")


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"symbols": 0}, "symbols must be 1 or more. Received: 0"),
        ({"sessions": 2}, "sessions must be 3 or more. Received: 2"),
        ({"signal": -0.1}, "signal must be 0..3. Received: -0.1"),
        ({"calendar": "XNYS", "last_session": date(2018, 7, 4)}, "last_session must be a session of XNYS"),
        ({"sessions": 20000}, "sessions must be at most"),
    ],
)
def test_wrong_sizes_are_named(wrong: dict[str, object], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        make(**wrong)


@pytest.mark.parametrize("live", [-1, 120])
def test_a_history_is_left(clean: SimulatedExchange, tmp_path: Path, live: int) -> None:
    with pytest.raises(InputError, match=rf"live_sessions must be 0..119. Received: {live}"):
        write_exchange(clean, tmp_path, live_sessions=live)
    assert list(tmp_path.iterdir()) == []
