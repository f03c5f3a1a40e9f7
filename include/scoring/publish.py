"""Forecasts as files: one CSV and one Parquet file a session, a row a symbol, each placed atomically."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from include.errors import ClosecastError
from include.files import hold_partial
from include.lake.predictions import read_forecasts
from include.lake.runs import require_run
from include.object_store import copy_file
from include.schema import BOUNDS, TARGETS
from include.settings import Settings

KEYS = ["symbol", "target_session"]
BEFORE = ("symbol", "as_of", "target_session", "last_close")
AFTER = ("status", "reason", "model_version", "run_id")

RUN = b"closecast.run"
"""Metadata key of the Parquet file: place and hash of the run in the chain, by which a chain that was cut is told."""


def publish_session(settings: Settings, as_of: date) -> list[Path]:
    """Write a session's newest forecasts to `published/`, and to where else the settings want them.

    Returns
    -------
    list of Path
        The CSV and the Parquet file.

    Raises
    ------
    ClosecastError
        The run lacks a row: a symbol must have one for each target.
    """
    run = require_run(settings.lake, as_of)
    table = widen_run(read_forecasts(settings.lake, run))
    table = table.replace_schema_metadata({RUN: f"{run.sequence} {run.hash}"})
    targets = [settings.published / f"{as_of}.{form}" for form in ("csv", "parquet")]
    for target, write in zip(targets, (pacsv.write_csv, pq.write_table), strict=True):
        with hold_partial(target) as partial:
            write(table, partial)
    copy_published(settings, targets)
    return targets


def copy_published(settings: Settings, files: Sequence[Path]) -> list[str]:
    """Copy published files to where else the settings want them; return their addresses there."""
    if settings.publish_to is None:
        return []
    folder = settings.publish_to.rstrip("/")
    return [copy_file(path, f"{folder}/{path.name}", retry_s=settings.store_retry_s) for path in files]


def widen_run(run: pa.Table) -> pa.Table:
    """Turn a row for each target into one: last_close, pred_open, pred_close, intervals, and what led to them.

    Returns
    -------
    pyarrow.Table
        A row a symbol and target session, ordered by both.

    Raises
    ------
    ClosecastError
        A target lacks a row that another has.
    """
    order = [(key, "ascending") for key in KEYS]
    by_target = {target: run.filter(pc.field("target") == target).sort_by(order) for target in TARGETS}
    first = by_target[TARGETS[0]]
    for target, rows in by_target.items():
        if not rows.select(KEYS).equals(first.select(KEYS)):
            raise ClosecastError("a symbol must have one row for each target", value=rows.num_rows, place=target)
    wide = {name: first[name] for name in BEFORE}
    wide |= {f"pred_{target}": rows["predicted"] for target, rows in by_target.items()}
    wide |= {name: first[name] for name in AFTER} | {"reason": _join_reasons(by_target)}
    wide |= {f"pred_{target}_{name}": rows[name] for target, rows in by_target.items() for name in BOUNDS}
    return pa.table(wide)


def _join_reasons(by_target: dict[str, pa.Table]) -> pa.Array:
    """Give a row the first target's reason, and that of another which fell back where the first did not."""
    first, *others = by_target
    reasons: list[str | None] = by_target[first]["reason"].to_pylist()
    for target in others:
        rows = by_target[target]
        differs = pc.not_equal(rows["status"], by_target[first]["status"])
        for position in np.flatnonzero(differs):
            if (said := rows["reason"][int(position)].as_py()) is not None:
                reasons[position] = f"{target}: {said}"
    return pa.array(reasons, pa.string())
