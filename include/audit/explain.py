"""One forecast with all that led to it: bars, uploads, model, training, promotion, code, task, and what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import log
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.audit.choose import choose_run
from include.audit.origin import Origin, find_origin
from include.audit.recall import is_same_code, is_same_environment
from include.audit.window import WindowRow, read_window
from include.errors import NotFoundError
from include.lake.bars import open_bars
from include.lake.identity_file import load_symbol_changes
from include.lake.predictions import read_forecasts
from include.lake.reads import read_partitions
from include.lake.runs import ORDER, Run
from include.lake.tables import OUTCOMES, find_table
from include.monitoring.outcomes import Came, find_actual
from include.schema import BOUNDS, LEVELS, TARGETS
from include.settings import Settings

_SHOWN = ("target_session", "target", "predicted", *BOUNDS, "last_close", "volatility", "status", "reason")


@dataclass(frozen=True)
class Explanation:
    """A forecast and its past.

    Attributes
    ----------
    forecasts
        A row a target session and target: predicted, bounds, last_close, volatility, status, reason.
    window
        Oldest first; empty where it is not kept any more, of which `notes` tells.
    task
        dag_id, dag_run_id and logs (files of the run's tasks that are there); None for a run that no DAG asked for.
    outcomes
        A row for each forecast of which it is known: actual, error (log actual - log forecast), last_close_error.
    """

    symbol: str
    run: Run
    forecasts: list[dict[str, Any]]
    window: list[WindowRow]
    origin: Origin
    is_same_code: bool
    is_same_environment: bool
    task: Mapping[str, Any] | None
    outcomes: list[dict[str, Any]]
    notes: list[str]


def explain_forecast(
    settings: Settings, symbol: str, *, as_of: date | None = None, run_id: str | None = None
) -> Explanation:
    """Gather what led to the forecast of a symbol.

    Parameters
    ----------
    settings
        Where things lie.
    symbol
        By its name in the run.
    as_of
        The session that was scored: its newest run; by default the newest session that was.
    run_id
        A run of its own; also one that was asked for at will.

    Raises
    ------
    NotFoundError
        There is no such run, or it does not speak of the symbol.
    """
    run = choose_run(settings, as_of=as_of, run_id=run_id)
    forecasts = _read_forecasts(settings, run, symbol)
    notes, window = [], []
    try:
        window = read_window(settings, run, symbol)
    except (NotFoundError, FileNotFoundError) as error:
        notes.append(f"the window can't be shown: {error}")
    origin = find_origin(settings, run)
    if origin.note:
        notes.append(f"the registry does not tell all: {origin.note}")
    return Explanation(
        symbol,
        run,
        forecasts,
        window,
        origin,
        is_same_code(run),
        is_same_environment(run),
        _find_task(settings, run),
        _find_outcomes(settings, run, symbol, forecasts),
        notes,
    )


def _read_forecasts(settings: Settings, run: Run, symbol: str) -> list[dict[str, Any]]:
    rows = read_forecasts(settings.lake, run)
    own: list[dict[str, Any]] = rows.filter(pc.field("symbol") == symbol).sort_by(ORDER).select(_SHOWN).to_pylist()
    if not own:
        rule = f"a symbol must be in the run of session {run.as_of}, by its name of then (closecast lake symbols)"
        raise NotFoundError(rule, value=symbol, place=run.run_id)
    return own


def _find_task(settings: Settings, run: Run) -> dict[str, Any] | None:
    """Return the DAG run that asked for a run: its id begins with that of the DAG and of the DAG's run."""
    dag_id, _, rest = run.run_id.rpartition("/")[0].partition("/")
    if not rest:
        return None
    folder = settings.airflow_home / "logs" / f"dag_id={dag_id}" / f"run_id={rest}"
    return {"dag_id": dag_id, "dag_run_id": rest, "logs": sorted(folder.rglob("*.log")), "folder": folder}


def _find_outcomes(
    settings: Settings, run: Run, symbol: str, forecasts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    days = sorted({row["target_session"] for row in forecasts})
    known = _read_settled(settings, run, symbol, days) or _read_bars(settings, run, symbol, days)
    found = []
    for row in forecasts:
        actual = known.get((row["target_session"], row["target"]))
        if actual is None or row["predicted"] is None:
            continue
        errors = {"error": log(actual / row["predicted"]), "last_close_error": log(actual / row["last_close"])}
        inside = {
            f"inside_{level}": _is_inside(actual, row[f"lower_{level}"], row[f"upper_{level}"]) for level in LEVELS
        }
        named = {"target_session": row["target_session"], "target": row["target"], "actual": actual}
        found.append(named | errors | inside)
    return found


def _is_inside(actual: float, lower: float | None, upper: float | None) -> bool | None:
    return None if lower is None or upper is None else lower <= actual <= upper


def _read_settled(settings: Settings, run: Run, symbol: str, days: Sequence[date]) -> dict[tuple[date, str], float]:
    """Read what came from `outcomes`, in the unit of the forecast, whichever run of the session was settled."""
    opened = find_table(settings.lake, OUTCOMES)
    if opened is None:
        return {}
    columns = ["target_session", "as_of", "symbol", "target", "actual"]
    rows = read_partitions(opened, "target_session", days, columns=columns)
    rows = rows.filter((pc.field("symbol") == symbol) & (pc.field("as_of") == run.as_of))
    return {(row["target_session"], row["target"]): row["actual"] for row in rows.to_pylist()}


def _read_bars(settings: Settings, run: Run, symbol: str, days: Sequence[date]) -> dict[tuple[date, str], float]:
    """Read what came from bars as they are known now, as a settlement would: sessions that were not settled yet."""
    bars, changes = open_bars(settings.lake), load_symbol_changes(settings)
    wanted = pa.table({"symbol": [symbol] * len(TARGETS), "target": TARGETS})
    found: dict[tuple[date, str], float] = {}
    for day in days:
        actual = read_partitions(bars, "session", [day], columns=["symbol", *TARGETS])
        came = find_actual(wanted, Came(day, actual, changes), after=run.as_of)
        found |= {(day, target): value for target, value in zip(TARGETS, came.tolist(), strict=True) if value > 0}
    return found
