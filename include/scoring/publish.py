"""Forecasts as files: one CSV and one Parquet file a session, a row a symbol, each placed atomically."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from include.errors import ClosecastError
from include.lake.predictions import read_newest_run
from include.schema import TARGETS
from include.settings import Settings

SHARED = ("symbol", "as_of", "target_session", "last_close", "status", "reason", "model_version", "run_id")


def publish_session(settings: Settings, as_of: date) -> list[Path]:
    """Write a session's newest forecasts to `published/`.

    Returns
    -------
    list of Path
        The CSV and the Parquet file.

    Raises
    ------
    ClosecastError
        The run lacks a row: a symbol must have one for each target.
    """
    table = widen_run(read_newest_run(settings.lake, as_of))
    settings.published.mkdir(parents=True, exist_ok=True)
    targets = [settings.published / f"{as_of}.{form}" for form in ("csv", "parquet")]
    _place(targets[0], lambda path: pacsv.write_csv(table, path))
    _place(targets[1], lambda path: pq.write_table(table, path))
    return targets


def widen_run(run: pa.Table) -> pa.Table:
    """Turn two rows a symbol into one: last_close, pred_open, pred_close, status, reason and what led to them."""
    by_target = {target: run.filter(pc.field("target") == target).sort_by("symbol") for target in TARGETS}
    first = by_target[TARGETS[0]]
    for target, rows in by_target.items():
        if not rows["symbol"].equals(first["symbol"]):
            raise ClosecastError("a symbol must have one row for each target", value=rows.num_rows, place=target)
    wide = first.select(list(SHARED))
    wide = wide.set_column(SHARED.index("reason"), "reason", _join_reasons(by_target))
    for position, (target, rows) in enumerate(by_target.items()):
        wide = wide.add_column(4 + position, f"pred_{target}", rows["predicted"])
    return wide


def _join_reasons(by_target: dict[str, pa.Table]) -> pa.Array:
    """Give a symbol the first target's reason, and those of the others that fell back where the first did not."""
    first, *others = by_target
    reasons: list[str | None] = by_target[first]["reason"].to_pylist()
    for target in others:
        rows = by_target[target]
        differs = pc.not_equal(rows["status"], by_target[first]["status"])
        for position in np.flatnonzero(differs):
            reasons[position] = f"{target}: {rows['reason'][int(position)].as_py()}"
    return pa.array(reasons, pa.string())


def _place(path: Path, write: Callable[[Path], None]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    write(partial)
    partial.replace(path)
