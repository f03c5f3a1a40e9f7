"""Reports that the store could not take: a file each, which the next drainer carries into it.

A database that is locked for longer than a failed task may wait, or does not answer, loses nothing so.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from include.alerts.incidents import Affected, Incident, Links, Notice, Recovery, Report, Severity
from include.files import write_atomically
from include.settings import Settings

_CLASSES: dict[str, type[Incident] | type[Notice] | type[Recovery]] = {
    "incident": Incident,
    "notice": Notice,
    "recovery": Recovery,
}


def spool(settings: Settings, report: Report) -> Path:
    """Lay a report down; names sort by time."""
    name = next(name for name, each in _CLASSES.items() if isinstance(report, each))
    path = _folder(settings) / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.json"
    write_atomically(path, json.dumps({"report": name, "at": time.time(), **asdict(report)}, default=_write_plain))
    return path


def list_spooled(settings: Settings) -> list[Path]:
    """Return the files that wait, in the order they came."""
    return sorted(_folder(settings).glob("[0-9]*.json"))


def read_spooled(path: Path) -> tuple[Report, float]:
    """Read a report back, and when it was made."""
    said: dict[str, Any] = json.loads(path.read_text())
    made, at = _CLASSES[said.pop("report")], said.pop("at")
    if made is Recovery:
        return Recovery(**said), at
    affected = said["affected"]
    affected["session"] = affected["session"] and date.fromisoformat(affected["session"])
    affected["mend_by"] = affected["mend_by"] and datetime.fromisoformat(affected["mend_by"])
    said |= {"affected": Affected(**affected), "links": Links(**said["links"])}
    said["severity"] = said["severity"] and Severity(said["severity"])
    if made is Incident:
        said["parts"] = tuple(said["parts"])
    return made(**said), at


def _folder(settings: Settings) -> Path:
    return settings.alerts / "spool"


def _write_plain(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")
