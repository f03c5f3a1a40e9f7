"""The simulated exchange: seeded bars of many symbols with a known signal, and its files as a real one would send them.

The bars are drawn session by session for all symbols at once (exchange_process.py), then some are spoiled as in real
files (exchange_dirt.py). What a model could know of the next session is kept beside the bars and never written.
docs/simulated_exchange.md has the formulas, the explained variance and every rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from include.errors import InputError
from include.files import hold_partial
from include.market.exchange_dirt import Dirt, draw_dirt, draw_listings, draw_shocks
from include.market.exchange_process import Progress, Walk, expect_returns, walk_prices
from include.market.sessions import is_session, sessions_between
from include.schema import PRICES

if TYPE_CHECKING:
    from numpy.typing import NDArray

UPLOAD_COLUMNS = ("symbol", "date", *PRICES, "volume", "market_cap")

_RAW_SHARE = 0.25  # of the uploads are written as a website gives them: one of the four real files is
_BLOCK_SESSIONS = 30


@dataclass(frozen=True)
class SimulatedExchange:
    """Bars of a simulated exchange, and the truth behind them; each array is (sessions, symbols) unless said.

    Parameters
    ----------
    symbols
        str, (symbols,).
    sessions
        Oldest first.
    open, high, low, close, volume, market_cap
        As published: quote currency; NaN where there is no bar (all six), no volume or no market cap.
    listed
        True from a symbol's listing to its delisting.
    published
        True where a bar came: listed, and not in a gap.
    clean
        True where the published bar has no fault and neither a halt nor a jump.
    twice, twice_different
        True where the history holds a second row, with the same numbers or (`twice_different`) with others.
    conditional_mean
        (sessions, symbols, 2): expected log returns of the next open and the next close against this close, given the
        bars up to this session; NaN where the bar or the one before is not clean. Never written to a file.
    seed, dirty
        What it was made with.
    """

    symbols: NDArray[np.str_]
    sessions: list[date]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    market_cap: NDArray[np.float64]
    listed: NDArray[np.bool_]
    published: NDArray[np.bool_]
    clean: NDArray[np.bool_]
    twice: NDArray[np.bool_]
    twice_different: NDArray[np.bool_]
    conditional_mean: NDArray[np.float64]
    seed: int
    dirty: bool

    def realised_returns(self) -> NDArray[np.float64]:
        """Give log returns of the next open and next close against this close, (sessions - 1, symbols, 2).

        NaN where this or the next bar is not clean.
        """
        base = np.where(self.clean[:-1] & self.clean[1:], np.log(self.close[:-1]), np.nan)
        return np.stack([np.log(self.open[1:]) - base, np.log(self.close[1:]) - base], axis=-1)

    def explained_variance(self) -> dict[str, float]:
        """Give the R² of the conditional mean, over all clean rows, for `open` and `close`; NaN if there are none."""
        actual, expected = self.realised_returns(), self.conditional_mean[:-1]
        usable = np.isfinite(actual) & np.isfinite(expected)
        lost = np.where(usable, actual - expected, 0.0)
        kept = np.where(usable, actual, 0.0)
        shares = 1 - (lost**2).sum(axis=(0, 1)) / (kept**2).sum(axis=(0, 1))
        return {"open": float(shares[0]), "close": float(shares[1])}


def simulate_exchange(
    *,
    symbols: int,
    sessions: int,
    calendar: str,
    seed: int,
    last_session: date,
    signal: float = 1.0,
    clean: bool = False,
    on_progress: Progress | None = None,
) -> SimulatedExchange:
    """Draw an exchange; the same arguments give the same bars.

    Parameters
    ----------
    symbols, sessions
        How many, at least 1 and at least 3.
    calendar
        An exchange_calendars name.
    seed
        Of every draw.
    last_session
        The newest session; a session of the calendar.
    signal
        Size of the signal: 1 as documented, 0 for none, at most 3.
    clean
        Leave out jumps, halts, gaps and all other dirt; symbols are still listed and delisted.
    on_progress
        Told after every session.

    Raises
    ------
    InputError
        If an argument is out of range, or the calendar doesn't reach back far enough.
    """
    _check_sizes(symbols=symbols, sessions=sessions, signal=signal)
    days = _list_sessions(calendar, last_session, sessions)
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    listed = draw_listings(rng, shape, clean=clean)
    shocks = draw_shocks(rng, shape, clean=clean)
    walk = walk_prices(rng, shocks, signal=signal, on_progress=on_progress)
    dirt = draw_dirt(rng, walk, shocks.halted, clean=clean)
    supply = np.exp(rng.normal(16.0, 2.0, symbols)) / walk.close[0]
    published = listed & ~dirt.no_bar
    faulty = shocks.halted | (shocks.jumps != 0) | dirt.zero_volume | dirt.no_volume | dirt.low_above
    bars = _publish(walk, dirt, published, supply)
    is_clean = published & ~faulty
    return SimulatedExchange(
        symbols=np.char.mod(f"sim%0{len(str(symbols - 1))}d", np.arange(symbols)),
        sessions=days,
        **bars,
        listed=listed,
        published=published,
        clean=is_clean,
        twice=dirt.twice & published,
        twice_different=dirt.twice_different & published,
        conditional_mean=_expect(bars, is_clean, signal),
        seed=seed,
        dirty=not clean,
    )


def write_exchange(
    exchange: SimulatedExchange,
    out: Path,
    *,
    live_sessions: int,
    history_format: Literal["parquet", "csv.gz"] = "parquet",
    on_progress: Progress | None = None,
) -> list[Path]:
    """Write the history as one file and each of the last sessions as an upload.

    A file appears whole: it is written under a hidden name in its own folder, then renamed.

    Parameters
    ----------
    exchange
        What to write.
    out
        Folder: `history.parquet` (or `history.csv.gz`) and `uploads/YYYY-MM-DD.csv` are made in it.
    live_sessions
        How many of the last sessions become uploads, 0 or more; the history needs at least one session.
    history_format
        `parquet` or `csv.gz`.
    on_progress
        Told after every block of the history and every upload.

    Returns
    -------
    list of Path
        The history, then the uploads, oldest first.

    Raises
    ------
    InputError
        If no session is left for the history.
    """
    history = len(exchange.sessions) - live_sessions
    if not 0 < history <= len(exchange.sessions):
        raise InputError(f"live_sessions must be 0..{len(exchange.sessions) - 1}", value=live_sessions)
    (out / "uploads").mkdir(parents=True, exist_ok=True)
    written = [_write_history(exchange, history, out / f"history.{history_format}", on_progress)]
    raw = np.random.default_rng(exchange.seed).random(live_sessions) < _RAW_SHARE * exchange.dirty
    for i in range(live_sessions):
        written.append(_write_upload(exchange, history + i, out / "uploads", raw=bool(raw[i])))
        if on_progress is not None:
            on_progress(i + 1, live_sessions, "writing uploads")
    return written


def _check_sizes(*, symbols: int, sessions: int, signal: float) -> None:
    if symbols < 1:
        raise InputError("symbols must be 1 or more", value=symbols)
    if sessions < 3:
        raise InputError("sessions must be 3 or more", value=sessions)
    if not 0 <= signal <= 3:
        raise InputError("signal must be 0..3", value=signal)


def _list_sessions(calendar: str, last: date, count: int) -> list[date]:
    """List the last sessions up to one."""
    if not is_session(calendar, last):
        raise InputError(f"last_session must be a session of {calendar}", value=last)
    days = sessions_between(calendar, date.min, last)
    if len(days) < count:
        raise InputError(f"sessions must be at most {len(days)}, all that {calendar} has up to {last}", value=count)
    return days[-count:]


def _publish(
    walk: Walk, dirt: Dirt, published: NDArray[np.bool_], supply: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Spoil the bars as the dirt says, and blank those that never came."""
    low = np.where(dirt.low_above, np.minimum(walk.open, walk.close) + 1e-10, walk.low)
    volume = np.where(dirt.zero_volume, 0.0, np.where(dirt.no_volume, np.nan, walk.volume))
    cap = np.where(dirt.no_cap, np.nan, np.rint(walk.close * supply))
    high = np.maximum(walk.high, low)  # the real lows lie above the open, not above the high
    bars = {"open": walk.open, "high": high, "low": low, "close": walk.close, "volume": volume, "market_cap": cap}
    for values in bars.values():
        values[~published] = np.nan
    return bars


def _expect(bars: dict[str, NDArray[np.float64]], clean: NDArray[np.bool_], signal: float) -> NDArray[np.float64]:
    """Recompute the conditional mean from the published bars alone."""
    expected = np.full((*clean.shape, 2), np.nan)
    bodies = np.log(bars["close"] / bars["open"])
    usable = clean[1:] & clean[:-1]
    changes = np.log(np.where(usable, bars["volume"][1:], 1.0) / np.where(usable, bars["volume"][:-1], 1.0))
    expected[1:] = expect_returns(bodies[1:], bodies[:-1], changes, signal=signal)
    expected[1:][~usable] = np.nan
    return expected


def _write_history(exchange: SimulatedExchange, stop: int, path: Path, on_progress: Progress | None) -> Path:
    """Write the first sessions to one file, block by block."""
    compression = "gzip" if path.suffix == ".gz" else None
    with (
        hold_partial(path) as hidden,
        pa.output_stream(hidden, compression=compression) as raw,
        _open_table(raw, path.suffix) as writer,
    ):
        for start in range(0, stop, _BLOCK_SESSIONS):
            end = min(start + _BLOCK_SESSIONS, stop)
            writer.write_table(_table_of(exchange, start, end, second_source=True))
            if on_progress is not None:
                on_progress(end, stop, "writing the history")
    return path


def _open_table(raw: pa.NativeFile, suffix: str) -> pq.ParquetWriter | pacsv.CSVWriter:
    """Open a writer of blocks of bars."""
    schema = _upload_schema()
    if suffix == ".parquet":
        return pq.ParquetWriter(raw, schema, compression="snappy", use_dictionary=["symbol", "date"])
    return pacsv.CSVWriter(raw, schema)


def _upload_schema() -> pa.Schema:
    kinds = {"symbol": pa.string(), "date": pa.date32()}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in UPLOAD_COLUMNS])


def _table_of(exchange: SimulatedExchange, start: int, stop: int, *, second_source: bool) -> pa.Table:
    """Gather the published rows of some sessions, then (if asked) the rows that come a second time."""
    row, column = np.nonzero(exchange.published[start:stop])
    again_row, again_column = np.nonzero(exchange.twice[start:stop] & second_source)
    rows, columns = np.concatenate([row, again_row]) + start, np.concatenate([column, again_column])
    days = np.array(exchange.sessions, dtype="datetime64[D]")
    numbers = {name: getattr(exchange, name)[rows, columns] for name in UPLOAD_COLUMNS[2:]}
    changed = np.arange(len(rows)) >= len(row)
    changed &= exchange.twice_different[rows, columns]
    _change_second(numbers, changed)
    names = pa.DictionaryArray.from_arrays(columns.astype(np.int32), pa.array(exchange.symbols.tolist()))
    arrays = [names.dictionary_decode(), pa.array(days[rows], type=pa.date32())]
    arrays += [pa.array(values, from_pandas=True) for values in numbers.values()]
    return pa.table(arrays, schema=_upload_schema())


def _change_second(numbers: dict[str, NDArray[np.float64]], changed: NDArray[np.bool_]) -> None:
    """Let the second source differ: every other row in the last bit of its prices, the rest by a thousandth."""
    factor = np.where(np.arange(changed.sum()) % 2, 1.001, 1 + 2.0**-52)
    for name in PRICES:
        numbers[name][changed] *= factor


def _write_upload(exchange: SimulatedExchange, t: int, folder: Path, *, raw: bool) -> Path:
    """Write one session's CSV, plain or as a website gives it."""
    path = folder / f"{exchange.sessions[t].isoformat()}.csv"
    table = _table_of(exchange, t, t + 1, second_source=False)
    if raw:
        for name in ("volume", "market_cap"):
            texts = ["-" if x is None else f"{x:,.0f}" for x in table[name].to_pylist()]
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(texts))
    with hold_partial(path) as hidden:
        pacsv.write_csv(table, hidden, pacsv.WriteOptions(quoting_style="needed"))
    return path
