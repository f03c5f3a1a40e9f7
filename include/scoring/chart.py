"""The newest forecasts beside what came, as the CSV that a team's chart draws: `preds.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from include.files import hold_partial
from include.lake.reads import read_partitions
from include.lake.runs import Run, list_runs, scored_sessions
from include.lake.tables import OUTCOMES, PREDICTIONS, find_table, open_table
from include.schema import TARGETS
from include.scoring.publish import copy_published
from include.settings import Settings

CHART_SESSIONS = 60
"""Sessions that were scored, the newest ones, whose forecasts are in the chart."""

CHART = "preds.csv"

_KEYS = ["symbol", "date"]


def publish_chart(settings: Settings) -> Path | None:
    """Write the chart's file anew.

    Returns
    -------
    Path or None
        None where nothing was scored yet.
    """
    sessions = scored_sessions(settings.lake)[-CHART_SESSIONS:]
    if not sessions:
        return None
    table = build_chart(settings, list_runs(settings.lake, first=sessions[0], last=sessions[-1]))
    path = settings.published / CHART
    with hold_partial(path) as partial:
        pacsv.write_csv(table, partial)
    copy_published(settings, [path])
    return path


def build_chart(settings: Settings, runs: list[Run]) -> pa.Table:
    """Put the forecasts of the newest run of each session beside what came.

    Returns
    -------
    pyarrow.Table
        symbol, index (0, 1, ... within a symbol by date), date, pred_open, val_open, pred_close, val_close, status,
        reason, model_version; ordered by symbol and date. Of two sessions that spoke of a date, the later one.
    """
    newest = {run.as_of: run for run in runs}
    columns = [
        "as_of",
        "target_session",
        "symbol",
        "target",
        "predicted",
        "status",
        "reason",
        "model_version",
        "run_id",
    ]
    rows = read_partitions(open_table(settings.lake, PREDICTIONS), "as_of", list(newest), columns=columns)
    rows = rows.filter(pc.is_in(rows["run_id"], pa.array([run.run_id for run in newest.values()])))
    rows = rows.set_column(2, "symbol", rows["symbol"].cast(pa.string()))
    order = [("symbol", "ascending"), ("target_session", "ascending"), ("as_of", "ascending")]
    by_target = {target: rows.filter(pc.field("target") == target).sort_by(order) for target in TARGETS}
    first = by_target[TARGETS[0]]
    wide = {"symbol": first["symbol"], "date": first["target_session"]}
    for target, found in by_target.items():
        wide |= {f"pred_{target}": found["predicted"], f"val_{target}": _find_actual(settings, found, target)}
    wide |= {name: first[name] for name in ("status", "reason", "model_version")}
    table = _keep_last(pa.table(wide))
    return table.add_column(1, "index", _number(table["symbol"]))


def _find_actual(settings: Settings, rows: pa.Table, target: str) -> pa.Array:
    """Return what came for each row, null where nothing did yet."""
    outcomes = find_table(settings.lake, OUTCOMES)
    if outcomes is None:
        return pa.nulls(rows.num_rows, pa.float64())
    columns = ["target_session", "symbol", "target", "run_id", "actual"]
    days = pc.unique(rows["target_session"]).to_pylist()
    came = read_partitions(outcomes, "target_session", days, columns=columns).filter(pc.field("target") == target)
    place = pc.index_in(_join_keys(rows), value_set=_join_keys(came))
    found: pa.Array = came["actual"].combine_chunks().take(place)
    return found


def _join_keys(rows: pa.Table) -> pa.Array:
    said = [rows[name].cast(pa.string()) for name in ("symbol", "target_session", "run_id")]
    return pc.binary_join_element_wise(*said, "\0").combine_chunks()


def _keep_last(table: pa.Table) -> pa.Table:
    """Keep the last of several rows of one symbol and date, which are neighbours."""
    same = [np.asarray(pc.equal(table[name][1:], table[name][:-1])) for name in _KEYS]
    keep = np.append(~np.logical_and(*same), True)[: table.num_rows]
    return table.filter(pa.array(keep))


def _number(symbols: pa.ChunkedArray) -> pa.Array:
    """Count the rows of each symbol from 0; rows of a symbol are neighbours."""
    if not len(symbols):
        return pa.array([], pa.int64())
    starts = np.append(True, ~np.asarray(pc.equal(symbols[1:], symbols[:-1])))
    at = np.arange(len(starts))
    return pa.array(at - np.maximum.accumulate(np.where(starts, at, 0)))
