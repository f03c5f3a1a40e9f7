"""How a version came to be and to serve: its run's record in MLflow, and the line of the ledger by which it served.

MLflow's client takes seconds to import, which a page of text does not have: a server is asked by REST, and the local
store's SQLite is read as it lies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.errors import ClosecastError, NotFoundError, UnavailableError
from include.lake.runs import Run
from include.registry.api import RestRegistry
from include.registry.database import open_database, read_params, read_versions
from include.registry.ledger import Line, read_ledger, select_model, serving_line
from include.settings import Settings

SNAPSHOT = ("bars_version", "first_session", "last_session", "holdout_from", "sessions", "holdout_sessions")
"""Parameters of a version's run that name what it was trained and judged on."""


@dataclass(frozen=True)
class Origin:
    """What led to a version.

    Attributes
    ----------
    snapshot
        What it was trained on: `SNAPSHOT`, and content_sha256 of its bars; empty where that is not known.
    gate, gate_why
        The gate's word of it, and the sentence; None where it was never judged.
    mlflow_run_id, code_version
        Of its training.
    promoted
        The line of the ledger by which it served; None where it did not, at the run's moment.
    note
        What could not be found out.
    """

    snapshot: Mapping[str, str] = field(default_factory=dict)
    gate: str | None = None
    gate_why: str | None = None
    mlflow_run_id: str | None = None
    code_version: str | None = None
    promoted: Mapping[str, Any] | None = None
    note: str | None = None


def find_origin(settings: Settings, run: Run) -> Origin:
    """Find what led to the version of a run; what the registry does not tell is left out, with a note."""
    own = settings.model_copy(update={"model_name": run.model_name})
    line = _find_promotion(own, run.model_version, run.scored_at)
    promoted = _describe_line(line) if line else None
    try:
        run_id, tags, params = _read_record(own, run.model_version)
    except ClosecastError as error:
        return Origin(promoted=promoted, note=str(error))
    snapshot = {name: params[name].strip('"') for name in SNAPSHOT if name in params}
    if "content_sha256" in tags:
        snapshot["content_sha256"] = tags["content_sha256"]
    gate = tags.get("gate"), tags.get("gate_why")
    return Origin(snapshot, *gate, run_id, tags.get("code_version"), promoted)


def _find_promotion(settings: Settings, version: int, at: datetime) -> Line | None:
    """Return the newest line by which a version served at a moment, those apart that only say that it serves on."""
    lines = [line for line in select_model(settings, read_ledger(settings)) if line.action != "keep"]
    serving = serving_line(lines, at)
    return serving if serving and serving.to_version == version else None


def _describe_line(line: Line) -> dict[str, Any]:
    judged: dict[str, Any] = json.loads(line.detail) if line.detail else {}
    said = {"who": line.who, "why": line.why, "action": line.action, "at": line.at, "line": line.sequence}
    return said | {"from_version": line.from_version, "judged_sessions": judged.get("judged_sessions")}


def _read_record(settings: Settings, version: int) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    """Return the run of a version, the version's tags, and the run's parameters."""
    if settings.tracking_uri.startswith("http"):
        return RestRegistry(settings).read_record(version)
    try:
        with open_database(settings) as store:
            return _read_local(store, settings.model_name, version)
    except sqlite3.Error as error:
        rule = "MLflow's store must be readable"
        raise UnavailableError(rule, value=str(error), place=settings.tracking_uri) from error


def _read_local(store: sqlite3.Connection, name: str, version: int) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    found = next((row for row in read_versions(store, name) if row["version"] == version), None)
    if found is None:
        rule = f"model {name} must have this version (closecast models list)"
        raise NotFoundError(rule, value=version, place="registry")
    tags = {each["key"]: each["value"] for each in found["tags"]}
    return str(found["run_id"]), tags, read_params(store, found["run_id"])
