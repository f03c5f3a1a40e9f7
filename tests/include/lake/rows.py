"""Rows as the tables hold them, for tests that put them into a lake by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from include import schema

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
        "run_id": "first",
        "scored_at": MOMENT,
    } | changed


def forecast_rows(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema.PREDICTIONS)
