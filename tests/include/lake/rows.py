"""Rows as the tables hold them, for tests that put them into a lake by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from include import schema
from include.lake.runs import ORDER, Run, commit_run, write_part
from include.lake.tables import PREDICTIONS

MOMENT = datetime(2018, 6, 5, tzinfo=UTC)


def bar_row(symbol: str, session: date, **changed: Any) -> dict[str, Any]:
    """Return a bar without fault; `changed` puts other values into it."""
    prices = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10.0, "market_cap": None}
    return {"symbol": symbol, "session": session, **prices, "upload_sha256": "0", "ingested_at": MOMENT} | changed


def bar_rows(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema.BARS)


def forecast_row(
    symbol: str, target: str, predicted: float | None, last_close: float, **changed: Any
) -> dict[str, Any]:
    """Return a forecast of 2018-06-02 made on 2018-06-01 by the run `first`."""
    return {
        "as_of": date(2018, 6, 1),
        "target_session": date(2018, 6, 2),
        "symbol": symbol,
        "target": target,
        "predicted": predicted,
        "last_close": last_close,
        "status": schema.Status.SCORED,
        "reason": None,
        "model_name": "closecast",
        "model_version": 1,
        "model_kind": "ridge",
        "lookback": 8,
        "bars_version": 0,
        "settings_hash": "s",
        "environment_hash": "e",
        "code_version": "c",
        "shards": 1,
        "run_id": "first",
        "scored_at": MOMENT,
    } | changed


def forecast_rows(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema.PREDICTIONS)


def put_forecasts(lake: Path, rows: Iterable[dict[str, Any]], *, trained_through: date | None = None) -> None:
    """Commit forecasts as the runs that they name, in the order in which those come."""
    for (as_of, run_id), group in groupby(rows, key=lambda row: (row["as_of"], row["run_id"])):
        table = forecast_rows(group).sort_by(ORDER)
        first = table.slice(0, 1).to_pylist()[0]
        names = {field.name for field in fields(Run)} & set(first)
        shared: dict[str, Any] = {name: first[name] for name in names}
        run = Run(
            scored_into="predictions",
            horizons=1,
            onnx_sha256="0" * 64,
            trained_through=trained_through,
            settings="{}",
            symbols=len(set(table["symbol"].to_pylist())),
            rows=table.num_rows,
            statuses="{}",
            content_sha256="",
            **shared,
        )
        assert (run.as_of, run.run_id) == (as_of, run_id)
        commit_run(lake, run, [write_part(lake, PREDICTIONS, table)])
