"""MLflow's local store, its SQLite read as it lies: the client takes seconds to import, which reading has no need of.

What is read has the names that MLflow's REST API gives it. A store that is not there, or whose tables are others than
those of the locked MLflow, raises sqlite3.Error; what to do then is for the caller to say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from include.settings import Settings

_DELETED = "Deleted_Internal"
"""The stage of a version that was deleted: MLflow keeps its row."""


@contextmanager
def open_database(settings: Settings) -> Iterator[sqlite3.Connection]:
    """Open the store for reading alone."""
    path = Path(settings.tracking_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as store:
        store.row_factory = sqlite3.Row
        yield store


def read_model(store: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    """Return tags and aliases of a registered model; None where there is none of this name."""
    if store.execute("SELECT 1 FROM registered_models WHERE name = ?", (name,)).fetchone() is None:
        return None
    tags = store.execute("SELECT key, value FROM registered_model_tags WHERE name = ?", (name,))
    aliases = store.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (name,))
    return {"tags": dict(tags.fetchall()), "aliases": dict(aliases.fetchall())}


def read_versions(store: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    """Return the versions of a registered model."""
    columns = (
        "version, current_stage, run_id, creation_time AS creation_timestamp,"
        " last_updated_time AS last_updated_timestamp"
    )
    found = store.execute(f"SELECT {columns} FROM model_versions WHERE name = ?", (name,)).fetchall()  # noqa: S608
    tags: dict[int, list[dict[str, Any]]] = {}
    for row in store.execute("SELECT version, key, value FROM model_version_tags WHERE name = ?", (name,)):
        tags.setdefault(row["version"], []).append({"key": row["key"], "value": row["value"]})
    kept = (dict(row) for row in found if row["current_stage"] != _DELETED)
    return [row | {"tags": tags.get(row["version"], [])} for row in kept]


def read_metrics(store: sqlite3.Connection, run_id: str) -> dict[str, float]:
    """Return what a run measured, the newest value of each; nothing of a run that is not there."""
    found = store.execute("SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?", (run_id,))
    return {row["key"]: float("nan") if row["is_nan"] else float(row["value"]) for row in found}


def read_params(store: sqlite3.Connection, run_id: str) -> dict[str, str]:
    """Return the parameters of a run."""
    return dict(store.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,)).fetchall())
