"""Forecasts joined with what came: one partition a session that was spoken of, written anew when its bars change.

An outcome is measured in the units of its forecast: where a symbol was renamed or redenominated in between, what came
is found under the successor's name and brought back by the factor. A session inside the span that the version was
trained and chosen on is marked `in_sample`, and never counts as skill.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from filelock import FileLock

from include.backtest.intervals import scale_errors
from include.errors import InputError
from include.lake.bars import open_bars
from include.lake.catalog import read_operations
from include.lake.data_files import commit_files, write_file
from include.lake.dense import read_floats
from include.lake.files import list_sessions, partition_values
from include.lake.identity import SymbolChanges
from include.lake.identity_file import load_symbol_changes
from include.lake.predictions import read_forecasts
from include.lake.reads import list_files, read_partitions
from include.lake.runs import ORDER, Run, find_newest_run, most_horizons
from include.lake.tables import OUTCOMES, find_table
from include.market.sessions import next_session, previous_session
from include.schema import LEVELS, TARGETS, Status
from include.settings import Settings

Floats = npt.NDArray[np.float64]

_PROMISED = pa.array([Status.SCORED.value, Status.FALLBACK.value])


@dataclass(frozen=True)
class Settlement:
    """What was settled: the sessions, and how many outcomes they have."""

    sessions: list[date]
    outcomes: int

    def summary(self) -> str:
        """Return one line for people."""
        named = ", ".join(map(str, self.sessions[:5])) + (" ..." if len(self.sessions) > 5 else "")
        return f"{self.outcomes:,} outcomes of {len(self.sessions)} session(s) settled: {named or 'none'}"


def settle(settings: Settings, session: date) -> Settlement:
    """Join a session's bars with the forecasts that spoke of it, and the session's own forecasts with what is there.

    Sessions whose bars were corrected, or came, after their outcomes were settled are settled anew. Again, it
    converges.
    """
    bars = open_bars(settings.lake)
    present = set(list_sessions(bars))
    wanted = {session, *_spoken_of(settings, session), *find_stale(settings)} & present
    outcomes = [settle_session(settings, bars, day) for day in sorted(wanted)]
    return Settlement(sorted(day for day, rows in zip(sorted(wanted), outcomes, strict=True) if rows), sum(outcomes))


def settle_session(settings: Settings, bars: DeltaTable, session: date) -> int:
    """Write the outcomes of one session that has bars; return how many there are, none where nothing spoke of it.

    One process at a time: of two that found the partition empty, both would fill it.
    """
    with FileLock(settings.lake / ".outcomes.lock"):
        return _settle_locked(settings, bars, session)


def _settle_locked(settings: Settings, bars: DeltaTable, session: date) -> int:
    actual = read_partitions(bars, "session", [session], columns=["symbol", *TARGETS])
    came = Came(session, actual, load_symbol_changes(settings))
    parts = [_join(settings, run, horizon, came) for horizon, run in _find_runs(settings, session)]
    rows = pa.concat_tables(parts) if parts else OUTCOMES.schema.empty_table()
    if not rows.num_rows:
        return 0
    version = int(bars.version())
    rows = _append(rows, "bars_version", version)
    rows = _append(rows, "settled_at", datetime.now(UTC))
    rows = rows.select(OUTCOMES.schema.names).cast(OUTCOMES.schema).sort_by([*ORDER[:1], ("horizon", "ascending")])
    file = write_file(settings.lake, OUTCOMES, session, rows, measured=["bars_version"])
    commit_files(settings.lake, OUTCOMES, [file], replaced=[session])
    return len(rows)


def find_stale(settings: Settings) -> list[date]:
    """Return the settled sessions that an upload has touched since, oldest first."""
    opened = find_table(settings.lake, OUTCOMES)
    if opened is None:
        return []
    files = list_files(opened)
    settled = dict(zip(partition_values(files).to_pylist(), files["max.bars_version"].to_pylist(), strict=True))
    if not settled:
        return []
    oldest = min(settled.values())
    stale: set[date] = set()
    for row in read_operations(settings.lake):
        if row["first_session"] is None or row["bars_version"] is None or row["bars_version"] <= oldest:
            continue
        touched = (row["first_session"], row["last_session"])
        stale |= {day for day, at in settled.items() if touched[0] <= day <= touched[1] and at < row["bars_version"]}
    return sorted(stale)


def _spoken_of(settings: Settings, session: date) -> list[date]:
    """Return the sessions that the newest run of a session speaks of."""
    run, day, found = find_newest_run(settings.lake, session), session, []
    for _ in range(run.horizons if run else 0):
        try:
            day = next_session(settings.calendar, day)
        except InputError:  # the calendar ends
            break
        found.append(day)
    return found


def _find_runs(settings: Settings, session: date) -> Iterable[tuple[int, Run]]:
    """Give the newest run of each earlier session that speaks of this one, with its horizon."""
    day = session
    for horizon in range(1, most_horizons(settings.lake) + 1):
        try:
            day = previous_session(settings.calendar, day)
        except InputError:  # the calendar begins
            return
        run = find_newest_run(settings.lake, day)
        if run is not None and run.horizons >= horizon:
            yield horizon, run


@dataclass(frozen=True)
class Came:
    """Open and close of a session's symbols, and which symbols became others."""

    session: date
    actual: pa.Table
    changes: SymbolChanges


def _join(settings: Settings, run: Run, horizon: int, there: Came) -> pa.Table:
    """Measure the forecasts of one run for one session against its bars."""
    rows = read_forecasts(settings.lake, run)
    rows = rows.filter((pc.field("target_session") == there.session) & pc.is_in(pc.field("status"), _PROMISED))
    came = find_actual(rows, there, after=run.as_of)
    known = np.isfinite(came) & (came > 0)
    rows, came = rows.filter(pa.array(known)), came[known]
    predicted, last, volatility = (read_floats(rows, name) for name in ("predicted", "last_close", "volatility"))
    error = np.log(came / predicted)
    moved, said = np.log(came / last), np.log(predicted / last)
    in_sample = run.trained_through is not None and there.session <= run.trained_through
    columns = {
        **{name: rows[name] for name in ("target_session", "as_of", "symbol", "target", "status", "predicted")},
        "horizon": pa.repeat(horizon, len(came)),
        "last_close": rows["last_close"],
        "actual": pa.array(came),
        "error": pa.array(error),
        "last_close_error": pa.array(moved),
        "volatility": rows["volatility"],
        "scaled_error": pa.array(scale_errors(moved, said, volatility), from_pandas=True),
        "is_hit": pa.array(np.sign(moved) == np.sign(said), mask=(moved == 0) | (said == 0)),
        **{f"inside_{level}": _inside(rows, came, level) for level in LEVELS},
        "in_sample": pa.repeat(in_sample, len(came)),
        **{name: rows[name] for name in ("model_version", "model_kind", "run_id")},
    }
    return pa.table(columns)


def find_actual(rows: pa.Table, there: Came, *, after: date) -> Floats:
    """Return what came for each row, in the units of its forecast; NaN where nothing did."""
    names = rows["symbol"]
    factor = np.ones(rows.num_rows)
    for line in there.changes.lines:
        if after < line.session <= there.session:
            touched = pc.equal(names, line.symbol)
            factor[touched.to_numpy()] *= line.factor
            names = pc.if_else(touched, line.successor, names)
    place = pc.index_in(names, value_set=there.actual["symbol"].cast(pa.string()).combine_chunks())
    found = np.full(rows.num_rows, np.nan)
    targets = np.asarray(rows["target"])
    for target in TARGETS:
        came = there.actual[target].take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
        chosen = targets == target
        found[chosen] = pc.fill_null(came, np.nan).to_numpy()[chosen]
    return np.asarray(found / factor)


def _inside(rows: pa.Table, came: Floats, level: int) -> pa.Array:
    lower, upper = read_floats(rows, f"lower_{level}"), read_floats(rows, f"upper_{level}")
    # An actual price on a bound is inside, also where the bound went through a logarithm and back.
    inside = (came >= lower * (1 - 1e-12)) & (came <= upper * (1 + 1e-12))
    return pa.array(inside, mask=~(np.isfinite(lower) & np.isfinite(upper)))


def _append(rows: pa.Table, name: str, value: object) -> pa.Table:
    field = OUTCOMES.schema.field(name)
    return rows.append_column(field, pa.repeat(pa.scalar(value, field.type), rows.num_rows))
