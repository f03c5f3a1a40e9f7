"""Price levels of an upload's rows against what the lake holds: which rows wait, and which of those that wait may pass.

The rule is `include.quality.continuity`; here is what it is asked about. Only rows newer than the symbol's newest bar
are judged: a correction and a late session have their place between known closes, and restatements tell of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from include.ingest.judge import LEVEL
from include.ingest.keys import Mask, Rows
from include.lake.asof import read_rows
from include.lake.files import list_sessions
from include.lake.reads import read_where
from include.quality.continuity import CONFIRMATIONS, LEVEL_LIMIT, Level, LevelRows, judge_levels
from include.schema import BARS, QUARANTINE, WINDOW_COLUMNS

REASON = (
    f"close must stay within a factor of {LEVEL_LIMIT:g} of the symbol's last close"
    f" until {CONFIRMATIONS} later sessions confirm the new level"
)

LEVEL_SESSIONS = 20
"""Newest sessions in which a symbol's last close is looked for; one not seen in them begins anew."""

_NEVER = np.iinfo(np.int32).min
_WAITING = pa.schema(
    [
        *(QUARANTINE.field(name) for name in ("upload_sha256", "row_number")),
        *(BARS.field(name) for name in ("symbol", "session", *WINDOW_COLUMNS)),
    ]
)


@dataclass(frozen=True)
class LevelSplit:
    """What becomes of one group of rows.

    Attributes
    ----------
    accepted
        bool (n_rows,); the others wait.
    released
        Rows from earlier that may pass now: upload_sha256, row_number, symbol, session and the window columns.
    """

    accepted: Mask
    released: pa.Table


class PriceLevels:
    """The newest close of each symbol, and the rows that wait; carried from group to group of one upload.

    Parameters
    ----------
    bars, quarantine
        Open at the versions that may be read; None where there is none yet.
    sha256
        Of the upload; rows of its own that wait at the end are what `own_waiting` gives.
    """

    def __init__(self, bars: DeltaTable | None, quarantine: DeltaTable | None, sha256: str) -> None:
        recent = list_sessions(bars)[-LEVEL_SESSIONS:] if bars else []
        self._sha256 = sha256
        self._symbols = pa.array([], pa.string())
        self._close, self._day = np.empty(0), np.empty(0, np.int64)
        if bars and recent:
            self._remember(read_rows(bars, recent, ["symbol", "session", "close"]))
        self._waiting = _read_waiting(quarantine, recent[0]) if quarantine and recent else _WAITING.empty_table()

    def judge(self, rows: pa.Table) -> LevelSplit:
        """Judge a group: row_number, symbol, session and the window columns, ordered by session and symbol."""
        codes = self._codes_of(rows["symbol"])
        days = rows["session"].cast(pa.int32()).to_numpy().astype(np.int64)
        closes = rows["close"].to_numpy()
        waiting_codes = self._codes_of(self._waiting["symbol"])
        fresh = days > self._day[codes]
        doubtful = self._find_jumps(codes, days, closes, fresh)
        doubtful[waiting_codes] = True
        accepted, released = np.ones(len(codes), dtype=bool), self._waiting.slice(0, 0)
        asked = np.flatnonzero(fresh & doubtful[codes])
        if len(asked):
            accepted, released = self._ask(rows, asked, codes, waiting_codes)
        self._take_over(codes[accepted & fresh], days[accepted & fresh], closes[accepted & fresh])
        return LevelSplit(accepted, released)

    def let_pass(self, rows: pa.Table) -> LevelSplit:
        """Accept a group as `judge` would where nothing is in doubt."""
        return LevelSplit(np.ones(rows.num_rows, dtype=bool), self._waiting.slice(0, 0))

    @property
    def own_waiting(self) -> pa.Table:
        """Rows of this upload that wait: they go to quarantine."""
        return self._waiting.filter(pc.field("upload_sha256") == self._sha256)

    def _ask(self, rows: pa.Table, asked: Rows, codes: Rows, waiting_codes: Rows) -> tuple[Mask, pa.Table]:
        """Judge the rows of the few symbols in doubt, and carry on what waits now."""
        days = rows["session"].cast(pa.int32()).to_numpy().astype(np.int64)
        new = asked[np.lexsort((days[asked], codes[asked]))]
        first_day = np.full(len(self._symbols), np.iinfo(np.int64).max)
        np.minimum.at(first_day, codes[new], days[new])
        old_days = self._waiting["session"].cast(pa.int32()).to_numpy().astype(np.int64)
        # What a new row precedes or replaces has lost its turn; what an accepted row has overtaken, too.
        heard = (old_days < first_day[waiting_codes]) & (old_days > self._day[waiting_codes])
        old = np.flatnonzero(heard & np.isin(waiting_codes, codes[new]))
        old = old[np.lexsort((old_days[old], waiting_codes[old]))]
        verdicts = judge_levels(
            _level_rows(rows, new, codes, days), self._close, _level_rows(self._waiting, old, waiting_codes, old_days)
        )
        accepted = np.ones(len(codes), dtype=bool)
        accepted[new[np.isin(verdicts.rows, (Level.WAITING, Level.REFUSED))]] = False
        # ACCEPTED: no longer in doubt, since the close that it was held against has been corrected.
        free = old[np.isin(verdicts.waiting, (Level.ACCEPTED, Level.RELEASED))]
        released = self._waiting.take(pa.array(free))
        # A new row of the same symbol and session takes the old one's place, whatever becomes of it.
        silent = ~np.isin(_key(waiting_codes, old_days), _key(codes[new], days[new]))
        silent[free] = False
        held = pa.array(np.flatnonzero(~accepted))
        own = rows.take(held).append_column(_WAITING.field("upload_sha256"), _repeat(self._sha256, len(held)))
        kept = self._waiting.filter(pa.array(silent))
        self._waiting = pa.concat_tables([kept, own.select(_WAITING.names).cast(_WAITING)])
        return accepted, released

    def _find_jumps(self, codes: Rows, days: Rows, closes: npt.NDArray[np.float64], fresh: Mask) -> Mask:
        """Tell the symbols with a step that needs a closer look, bool (n_symbols,); session by session, so unsorted."""
        doubtful, last = np.zeros(len(self._symbols), dtype=bool), self._close.copy()
        at = np.flatnonzero(fresh)
        for part in np.split(at, np.flatnonzero(np.diff(days[at])) + 1) if len(at) else []:
            before, close = last[codes[part]], closes[part]
            apart = (close >= LEVEL_LIMIT * before) | (before >= LEVEL_LIMIT * close)
            doubtful[codes[part[apart]]] = True
            last[codes[part]] = close
        return doubtful

    def _codes_of(self, symbols: pa.ChunkedArray) -> Rows:
        """Give each row its symbol's position, making room for symbols not met before."""
        encoded = pa.chunked_array([chunk.dictionary_encode() for chunk in symbols.chunks], _ENCODED)
        if not encoded.num_chunks:
            return np.empty(0, np.int64)
        encoded = encoded.unify_dictionaries()
        names = encoded.chunk(0).dictionary
        new = names.filter(pc.invert(pc.is_in(names, self._symbols)))
        self._symbols = pa.concat_arrays([self._symbols, new])
        self._close = np.concatenate([self._close, np.full(len(new), np.nan)])
        self._day = np.concatenate([self._day, np.full(len(new), _NEVER)])
        position = pc.index_in(names, self._symbols).to_numpy().astype(np.int64)
        codes: Rows = position[np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])]
        return codes

    def _remember(self, closes: pa.Table) -> None:
        days = closes["session"].cast(pa.int32()).to_numpy().astype(np.int64)
        order = np.argsort(days, kind="stable")
        codes = self._codes_of(closes["symbol"])
        self._take_over(codes[order], days[order], closes["close"].to_numpy()[order])

    def _take_over(self, codes: Rows, days: Rows, closes: npt.NDArray[np.float64]) -> None:
        """Keep the newest close of each symbol; rows come ordered by session, and the last one stays."""
        self._close[codes], self._day[codes] = closes, days


_ENCODED = pa.dictionary(pa.int32(), pa.string())


def _level_rows(rows: pa.Table, at: Rows, codes: Rows, days: Rows) -> LevelRows:
    return LevelRows(codes[at], days[at], rows["close"].to_numpy()[at])


def _key(codes: Rows, days: Rows) -> Rows:
    """Make one number of a symbol's position and a day, by which pairs can be compared."""
    return (codes << 32) + days


def _repeat(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def _read_waiting(quarantine: DeltaTable, since: date) -> pa.Table:
    """Read the rows that wait for their level since a session, their numbers from what was kept of them."""
    columns = [
        "upload_sha256",
        "row_number",
        "symbol",
        "session",
        "expectation",
        "raw",
        "resolved_by",
        "quarantined_at",
    ]
    rows = read_where(quarantine, "session", since, date.max, columns=columns)
    rows = rows.filter((pc.field("expectation") == LEVEL) & pc.field("resolved_by").is_null())
    rows = _keep_newest(rows.sort_by("quarantined_at"))
    numbers = [json.loads(raw) for raw in rows["raw"].to_pylist()]
    for name in WINDOW_COLUMNS:
        rows = rows.append_column(name, pa.array([number[name] for number in numbers], pa.float64()))
    return rows.select(_WAITING.names).cast(_WAITING)


def _keep_newest(rows: pa.Table) -> pa.Table:
    """Keep of the rows of one symbol and session the last: a day that was sent again waits once."""
    keys = zip(rows["symbol"].to_pylist(), rows["session"].to_pylist(), strict=True)
    last = {key: at for at, key in enumerate(keys)}
    return rows.take(pa.array(sorted(last.values()), pa.int64()))
