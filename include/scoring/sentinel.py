"""The leak sentinel: an earlier session is scored again, as known then, from the lake and from one with another future.

The second lake lies in a scratch folder. Its first version has the bars of before as they are (the same files, linked)
and noise in place of every later session; its second, which nobody at that time knew, has noise in place of the
session itself too. The same code scores a sample of symbols from both. Where a forecast differs, something that lay
ahead of the session was read, and the forecasts of today must not be published.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from include.errors import LeakError
from include.lake.bars import open_bars
from include.lake.catalog import append_operation
from include.lake.data_files import commit_files, write_file
from include.lake.files import choose_sessions, list_sessions
from include.lake.identity import SymbolChange
from include.lake.identity_file import keep_symbol_changes, load_kept_changes, load_symbol_changes
from include.lake.reads import read_partitions
from include.lake.runs import find_newest_run
from include.lake.tables import BARS, PREDICTIONS, UPLOADS
from include.registry.resolve import resolve_version
from include.schema import PRICES
from include.scoring.plan import Plan, pin_run
from include.scoring.shard import read_universe, score_shard, score_symbols, sessions_read
from include.settings import Settings

FARTHEST_BACK = 3
"""Sessions before the one that is scored, of which one is chosen by the day."""

SAMPLE = 64
"""Symbols that are scored again."""

NOISE = 0.5
"""Standard deviation of the log of what a spoilt price is multiplied by."""

SPARE = 10
"""Older sessions that the other lake has beyond those that a score reads."""

_COMPARED = ("symbol", "target_session", "target", "predicted", "last_close", "volatility", "status", "reason")


@dataclass(frozen=True)
class Sentinel:
    """What was looked at: the session, and how many of its forecasts came out the same."""

    session: date
    forecasts: int

    def summary(self) -> str:
        """Return one line for people."""
        return f"{self.forecasts} forecasts of {self.session} are the same with noise in place of all that came later"


def check_future(settings: Settings, as_of: date) -> Sentinel | None:
    """Score an earlier session again, twice, and refuse a difference.

    Returns
    -------
    Sentinel or None
        None where no session before `as_of` has bars.

    Raises
    ------
    LeakError
        A forecast depends on what came later, or was known later; names the symbol and both numbers.
    """
    newest = open_bars(settings.lake)
    earlier = [day for day in list_sessions(newest) if day < as_of][-FARTHEST_BACK:]
    if not earlier:
        return None
    random = np.random.default_rng(as_of.toordinal())
    session = earlier[int(random.integers(len(earlier)))]
    run = find_newest_run(settings.lake, session)
    version = run.bars_version if run else int(newest.version())
    plan = pin_run(settings, session, PREDICTIONS, resolve_version(settings), bars_version=version)
    plan = replace(plan, shards=1)
    cube, universe = read_universe(settings, plan)
    plan = replace(plan, symbols=tuple(random.permutation(cube.symbols)[:SAMPLE]))
    was = score_symbols(settings, plan, cube, universe)
    settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sentinel-", dir=settings.scratch) as folder:
        again = score_shard(*_spoil(settings, plan, Path(folder), random))
    _require_same(was, again, session)
    return Sentinel(session, was.num_rows)


def _spoil(settings: Settings, plan: Plan, home: Path, random: np.random.Generator) -> tuple[Settings, Plan]:
    """Make a home whose lake knows the plan's bars and, in place of what came or was known later, noise."""
    other = settings.model_copy(update={"home": home, "symbol_changes": None})
    bars, newest = open_bars(settings.lake, version=plan.bars_version), open_bars(settings.lake)
    before = [day for day in list_sessions(bars) if day <= plan.as_of]
    reach = sessions_read(settings, plan.model.lookback) + SPARE
    linked = _link_files(bars, before[-reach:], other)
    later = [day for day in list_sessions(newest) if day > plan.as_of]
    then = commit_files(other.lake, BARS, [*linked, *(_spoil_session(newest, day, other, random) for day in later)])
    _name_version(other, 1, then)
    corrected = [_spoil_session(bars, day, other, random) for day in before[-2:]]
    _name_version(other, 2, commit_files(other.lake, BARS, corrected, replaced=before[-2:]))
    return other, replace(plan, bars_version=then, reference_version=_change_later(settings, other, plan, later))


def _link_files(bars: DeltaTable, sessions: Sequence[date], other: Settings) -> list[AddAction]:
    """Let data files be part of the other table too; its log says nothing of what is in them."""
    linked, key, root = [], str(BARS.partition), Path(BARS.path(other.lake))
    for session, path in choose_sessions(bars, sessions):
        name, values = f"{key}={session.isoformat()}/{path.name}", {key: session.isoformat()}
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(path, root / name)
        linked.append(AddAction(name, path.stat().st_size, values, 0, True, "{}"))
    return linked


def _spoil_session(bars: DeltaTable, session: date, other: Settings, random: np.random.Generator) -> AddAction:
    rows = read_partitions(bars, "session", [session]).select(BARS.schema.names).cast(BARS.schema)
    for name in (*PRICES, "volume", "market_cap"):
        noise = pa.array(np.exp(NOISE * random.normal(size=rows.num_rows)))
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(name), pc.multiply(rows[name], noise))
    return write_file(other.lake, BARS, session, rows)


def _name_version(other: Settings, sequence: int, version: int) -> None:
    """Let the catalog of the other lake name a version of its bars."""
    now = datetime.now(UTC)
    row: dict[str, Any] = {field.name: 0 for field in UPLOADS.schema if pa.types.is_integer(field.type)}
    row |= {field.name: "" for field in UPLOADS.schema if pa.types.is_string(field.type)}
    row |= {"sequence": sequence, "sha256": f"{sequence:064}", "kind": "upload", "bars_version": version}
    row |= {"quarantine_version": None, "restatements_version": None, "started_at": now, "finished_at": now}
    append_operation(other.lake, row)


def _change_later(settings: Settings, other: Settings, plan: Plan, later: Sequence[date]) -> str | None:
    """Give the other home the changes up to the session, and a redenomination of each sampled symbol after it."""
    if not later:
        return None
    changes = load_kept_changes(settings, plan.reference_version).known_at(plan.as_of)
    others = [SymbolChange(symbol, symbol, later[0], 1000.0, "units", "") for symbol in plan.symbols or ()]
    names = [field.name for field in fields(SymbolChange)]
    with other.symbol_changes_file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([getattr(line, name) for name in names] for line in (*changes.lines, *others))
    return keep_symbol_changes(other, load_symbol_changes(other))


def _require_same(was: pa.Table, again: pa.Table, session: date) -> None:
    rule = "leak sentinel: what came later must leave the forecasts of an earlier session as they were"
    place = f"session {session}"
    if was.num_rows != again.num_rows:
        raise LeakError(rule, value=f"{was.num_rows} rows, then {again.num_rows}", place=place)
    for name in _COMPARED:
        if was[name].equals(again[name]):
            continue
        pairs = zip(was["symbol"].to_pylist(), was[name].to_pylist(), again[name].to_pylist(), strict=True)
        symbol, before, after = next(pair for pair in pairs if pair[1] != pair[2])
        raise LeakError(rule, value=f"{name} {before}, then {after}", place=f"{place}, symbol {symbol}")
