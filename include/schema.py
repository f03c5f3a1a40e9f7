"""Columns and Arrow schemas of the tables, and the words a forecast's status can be.

Prices are in the quote currency, sessions are dates in the exchange's own calendar, moments are UTC.
"""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

PRICES = ("open", "high", "low", "close")
WINDOW_COLUMNS = (*PRICES, "volume", "market_cap")
"""Order of the last axis of every raw window, (n_symbols, lookback, 6)."""

TARGETS = ("open", "close")
"""Order of the last axis of every forecast, (n_symbols, 2)."""

LEVELS = (80, 95)
"""Percent of the actual values that an interval is to hold."""

BOUNDS = tuple(f"{side}_{level}" for level in LEVELS for side in ("lower", "upper"))
"""Columns of a forecast's intervals."""

_UTC = pa.timestamp("us", tz="UTC")

BARS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("session", pa.date32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in PRICES),
        pa.field("volume", pa.float64()),
        pa.field("market_cap", pa.float64()),
        pa.field("upload_sha256", pa.string(), nullable=False),
        pa.field("ingested_at", _UTC, nullable=False),
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("upload_sha256", pa.string(), nullable=False),
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("symbol", pa.string()),
        pa.field("session", pa.date32()),
        pa.field("expectation", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
        pa.field("quarantined_at", _UTC, nullable=False),
        pa.field("resolved_by", pa.string()),
    ]
)

UPLOADS = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("accepted", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
        pa.field("duplicates", pa.int64(), nullable=False),
        pa.field("added", pa.int64(), nullable=False),
        pa.field("restated", pa.int64(), nullable=False),
        pa.field("unchanged", pa.int64(), nullable=False),
        pa.field("released", pa.int64(), nullable=False),
        pa.field("first_session", pa.date32()),
        pa.field("last_session", pa.date32()),
        pa.field("sessions", pa.int64(), nullable=False),
        pa.field("bars_version", pa.int64()),
        pa.field("quarantine_version", pa.int64()),
        pa.field("restatements_version", pa.int64()),
        pa.field("of_sha256", pa.string()),
        pa.field("who", pa.string(), nullable=False),
        pa.field("why", pa.string()),
        pa.field("started_at", _UTC, nullable=False),
        pa.field("finished_at", _UTC, nullable=False),
    ]
)
"""The catalog of the lake: one row an operation that changed what can be read, written last, so its commit point."""

RESTATEMENTS = pa.schema(
    [
        pa.field("session", pa.date32(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("was", pa.float64()),
        pa.field("is", pa.float64()),
        pa.field("was_upload_sha256", pa.string(), nullable=False),
        pa.field("upload_sha256", pa.string(), nullable=False),
        pa.field("restated_at", _UTC, nullable=False),
    ]
)

VALIDATIONS = pa.schema(
    [
        pa.field("suite", pa.string(), nullable=False),
        pa.field("session", pa.date32(), nullable=False),
        pa.field("bars_version", pa.int64(), nullable=False),
        pa.field("suite_hash", pa.string(), nullable=False),
        pa.field("expectation", pa.string(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
        pa.field("unexpected_count", pa.int64(), nullable=False),
        pa.field("symbols", pa.list_(pa.string()), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("validated_at", _UTC, nullable=False),
    ]
)

PREDICTIONS = pa.schema(
    [
        pa.field("as_of", pa.date32(), nullable=False),
        pa.field("target_session", pa.date32(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("predicted", pa.float64()),
        *(pa.field(name, pa.float64()) for name in BOUNDS),
        pa.field("last_close", pa.float64()),
        pa.field("volatility", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("model_kind", pa.string(), nullable=False),
        pa.field("lookback", pa.int64(), nullable=False),
        pa.field("bars_version", pa.int64(), nullable=False),
        pa.field("calibration_version", pa.int64()),
        pa.field("reference_version", pa.string()),
        pa.field("settings_hash", pa.string(), nullable=False),
        pa.field("environment_hash", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
        pa.field("shards", pa.int64(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("scored_at", _UTC, nullable=False),
        pa.field("upload_sha256", pa.string()),
    ]
)

SCORING_RUNS = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("scored_into", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("as_of", pa.date32(), nullable=False),
        pa.field("horizons", pa.int64(), nullable=False),
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("model_kind", pa.string(), nullable=False),
        pa.field("lookback", pa.int64(), nullable=False),
        pa.field("onnx_sha256", pa.string(), nullable=False),
        pa.field("trained_through", pa.date32()),
        pa.field("bars_version", pa.int64(), nullable=False),
        pa.field("calibration_version", pa.int64()),
        pa.field("reference_version", pa.string()),
        pa.field("settings", pa.string(), nullable=False),
        pa.field("settings_hash", pa.string(), nullable=False),
        pa.field("environment_hash", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
        pa.field("shards", pa.int64(), nullable=False),
        pa.field("symbols", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("statuses", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),
        pa.field("scored_at", _UTC, nullable=False),
        pa.field("previous_hash", pa.string(), nullable=False),
        pa.field("hash", pa.string(), nullable=False),
        pa.field("quarantine_version", pa.int64()),
    ]
)
"""One row a scoring run, written after its forecasts: its commit point, chained by hash."""

CALIBRATIONS = pa.schema(
    [
        pa.field("version", pa.int64(), nullable=False),
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("through", pa.date32(), nullable=False),
        pa.field("horizon", pa.int64(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("sessions", pa.int64(), nullable=False),
        pa.field("own_sessions", pa.int64(), nullable=False),
        pa.field("payload", pa.string(), nullable=False),
        pa.field("made_at", _UTC, nullable=False),
    ]
)
"""How wide intervals are: one row a target and horizon of each calibration; see `include.scoring.calibration`."""

OUTCOMES = pa.schema(
    [
        pa.field("target_session", pa.date32(), nullable=False),
        pa.field("as_of", pa.date32(), nullable=False),
        pa.field("horizon", pa.int64(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("predicted", pa.float64(), nullable=False),
        pa.field("last_close", pa.float64(), nullable=False),
        pa.field("actual", pa.float64(), nullable=False),
        pa.field("error", pa.float64(), nullable=False),
        pa.field("last_close_error", pa.float64(), nullable=False),
        pa.field("volatility", pa.float64()),
        pa.field("scaled_error", pa.float64()),
        pa.field("is_hit", pa.bool_()),
        pa.field("inside_80", pa.bool_()),
        pa.field("inside_95", pa.bool_()),
        pa.field("in_sample", pa.bool_(), nullable=False),
        pa.field("model_version", pa.int64(), nullable=False),
        pa.field("model_kind", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("bars_version", pa.int64(), nullable=False),
        pa.field("settled_at", _UTC, nullable=False),
    ]
)
"""Forecasts joined with what came."""

PROMOTIONS = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("at", _UTC, nullable=False),
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("from_version", pa.int64()),
        pa.field("to_version", pa.int64()),
        pa.field("action", pa.string(), nullable=False),
        pa.field("who", pa.string(), nullable=False),
        pa.field("why", pa.string(), nullable=False),
        pa.field("moved_at", _UTC),
        pa.field("detail", pa.string()),
        pa.field("request", pa.string(), nullable=False),
        pa.field("previous_hash", pa.string(), nullable=False),
        pa.field("hash", pa.string(), nullable=False),
        pa.field("graph_sha256", pa.string()),
    ]
)
"""The promotion ledger: one line a change of what serves, chained by hash; see `include.registry.ledger`."""


class Status(StrEnum):
    """What became of one symbol in one scoring run."""

    SCORED = "scored"
    FALLBACK = "fallback"
    STALE = "stale"
    TOO_SHORT = "too_short"
    QUARANTINED = "quarantined"
    MISSING = "missing"
    DELISTED = "delisted"
