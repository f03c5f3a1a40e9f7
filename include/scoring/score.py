"""The Production model over the newest windows: every symbol of the universe gets its rows, in one commit.

Pinned to one version of bars and one numeric model version, both of which each row names. Nothing after `as_of` is
read, whatever the lake holds by now.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import ClosecastError, InputError
from include.lake.bars import BarCube, open_bars, read_cube, sessions_up_to
from include.lake.catalog import find_committed
from include.lake.identity_file import load_symbol_changes
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS, QUARANTINE, Table, append_rows, read_where
from include.market.sessions import next_session
from include.provenance import code_version, environment_hash
from include.registry.artifact import ModelVersion
from include.registry.resolve import resolve_version
from include.schema import TARGETS, Status
from include.scoring.graph import load_graph, read_market_columns, run_graph
from include.scoring.universe import Universe, judge_universe
from include.settings import Settings
from models.market import join_market

FALLBACK_REASON = "the model gave no finite number, so the last close stands"


@dataclass(frozen=True)
class ScoreReport:
    """What one scoring run wrote."""

    as_of: date
    target_session: date
    run_id: str
    model_version: int
    model_kind: str
    bars_version: int
    rows: int
    statuses: dict[str, int]
    seconds: dict[str, float]
    model_note: str | None = None

    def summary(self) -> str:
        """Return one line for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        return (
            f"{self.as_of} scored by {self.model_kind} version {self.model_version}"
            f" on bars version {self.bars_version}: {self.rows:,} rows for {self.target_session}"
            f" ({counts}), {sum(self.seconds.values()):.2f} s"
            f"{f'; {self.model_note}' if self.model_note else ''}"
        )


def score_session(settings: Settings, as_of: date, *, run_id: str | None = None) -> ScoreReport:
    """Score a session's universe by the Production model and append the run to `predictions`.

    Parameters
    ----------
    settings
        Universe, threads, where the lake and the registry are.
    as_of
        The session whose close has been; it must have bars.
    run_id
        Who asked: a DAG run's id. A run of its own makes it unique, so that a rerun never doubles a row.
    """
    return _score(settings, as_of, PREDICTIONS, symbols=None, version=None, run_id=run_id)


def predict_symbols(
    settings: Settings,
    as_of: date,
    *,
    symbols: Sequence[str] | None = None,
    version: int | None = None,
    run_id: str | None = None,
) -> ScoreReport:
    """Score any session, symbols and version at will; the run goes to `adhoc_predictions`.

    Raises
    ------
    InputError
        A symbol that the session's universe does not have.
    """
    return _score(settings, as_of, ADHOC_PREDICTIONS, symbols=symbols, version=version, run_id=run_id)


def _score(
    settings: Settings,
    as_of: date,
    table: Table,
    *,
    symbols: Sequence[str] | None,
    version: int | None,
    run_id: str | None,
) -> ScoreReport:
    clock = _Stopwatch()
    model = resolve_version(settings, version)
    clock.lap("resolve")
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, as_of, count=max(settings.universe_sessions, model.lookback))
    cube = read_cube(bars, sessions, window=model.lookback, changes=load_symbol_changes(settings))
    universe = judge_universe(cube, newest=len(sessions) - 1, quarantined=_quarantined(settings, as_of))
    clock.lap("read")
    log_returns = forecast_log_returns(settings, model, cube, universe)
    clock.lap("onnx")
    run = f"{run_id or 'manual'}/{uuid.uuid4().hex[:12]}"
    target_session = next_session(settings.calendar, as_of)
    rows = build_rows(cube, universe, log_returns)
    rows = _choose_symbols(rows, symbols, as_of)
    stamped = _stamp(rows, settings, model, cube, as_of=as_of, target_session=target_session, run_id=run)
    append_rows(settings.lake, table, stamped)
    clock.lap("write")
    statuses = Counter(rows["status"].to_pylist()[:: len(TARGETS)])
    return ScoreReport(
        as_of,
        target_session,
        run,
        model.version,
        model.kind,
        cube.bars_version,
        rows.num_rows,
        dict(statuses.most_common()),
        clock.laps,
        model.note,
    )


class _Stopwatch:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 4), now


def _quarantined(settings: Settings, as_of: date) -> set[str]:
    """Return the symbols whose row of a session was refused and not released or repaired since."""
    quarantine = find_committed(settings.lake, QUARANTINE)
    if quarantine is None:
        return set()
    refused = read_where(quarantine, "session", as_of, as_of, columns=["symbol", "resolved_by"])
    return set(refused.filter(pc.is_null(refused["resolved_by"]))["symbol"].to_pylist())


def forecast_log_returns(
    settings: Settings, model: ModelVersion, cube: BarCube, universe: Universe
) -> npt.NDArray[np.float64]:
    """Run the model's graph over the scoreable symbols.

    Returns
    -------
    numpy.ndarray
        float64 (n_symbols, 2), NaN where a symbol was not asked or the graph gave no finite number.
    """
    if model.onnx is None:
        raise ClosecastError("a version must have its graph at hand", value=model.version, place=model.name)
    chosen = np.flatnonzero(universe.scoreable)
    result = np.full((len(cube.symbols), len(TARGETS)), np.nan)
    if len(chosen):
        graph = load_graph(model.onnx, threads=settings.threads)
        values = join_market(cube.values, read_market_columns(graph))  # of all symbols, whichever are then chosen
        found = run_graph(graph, np.ascontiguousarray(values[:, chosen].swapaxes(0, 1))).astype(np.float64)
        found[~np.isfinite(found).all(axis=1)] = np.nan
        result[chosen] = found
    return result


def build_rows(cube: BarCube, universe: Universe, log_returns: npt.NDArray[np.float64]) -> pa.Table:
    """Turn forecasts into rows: two a symbol, ordered by symbol and target.

    Returns
    -------
    pyarrow.Table
        symbol, target, predicted, last_close, status, reason; `predicted` is null where there is no forecast.
    """
    failed = universe.scoreable & ~np.isfinite(log_returns[:, 0])
    status, reason = universe.status.copy(), universe.reason.copy()
    status[failed], reason[failed] = Status.FALLBACK.value, FALLBACK_REASON
    returns = np.where(failed[:, None], 0.0, log_returns)
    predicted = cube.last_close[:, None] * np.exp(returns)
    count = len(TARGETS)
    return pa.table(
        {
            "symbol": pa.array(np.repeat(cube.symbols, count), pa.string()),
            "target": pa.array(np.tile(np.array(TARGETS, dtype=object), len(cube.symbols)), pa.string()),
            "predicted": pa.array(predicted.ravel(), from_pandas=True),
            "last_close": pa.array(np.repeat(cube.last_close, count), from_pandas=True),
            "status": pa.array(np.repeat(status, count), pa.string()),
            "reason": pa.array(np.repeat(reason, count), pa.string()),
        }
    )


def _choose_symbols(rows: pa.Table, symbols: Sequence[str] | None, as_of: date) -> pa.Table:
    if symbols is None:
        return rows
    unknown = sorted(set(symbols) - set(rows["symbol"].to_pylist()))
    if unknown or not symbols:
        named = ", ".join(unknown[:5]) or "none"
        raise InputError(f"symbols must be in the universe of session {as_of}", value=named, place="bars")
    return rows.filter(pc.is_in(rows["symbol"], pa.array(list(symbols))))


def _stamp(
    rows: pa.Table,
    settings: Settings,
    model: ModelVersion,
    cube: BarCube,
    *,
    as_of: date,
    target_session: date,
    run_id: str,
) -> pa.Table:
    """Give each row what led to it: session, run, model, data, settings, environment, code."""
    constants = {
        "as_of": as_of,
        "target_session": target_session,
        "model_name": model.name,
        "model_version": model.version,
        "model_kind": model.kind,
        "lookback": model.lookback,
        "bars_version": cube.bars_version,
        "settings_hash": settings.fingerprint(),
        "environment_hash": environment_hash(),
        "code_version": code_version(),
        "run_id": run_id,
        "scored_at": datetime.now(UTC),
    }
    schema = PREDICTIONS.schema
    for name, value in constants.items():
        rows = rows.append_column(
            schema.field(name), pa.repeat(pa.scalar(value, schema.field(name).type), rows.num_rows)
        )
    return rows.select(schema.names)
