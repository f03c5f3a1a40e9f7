"""Whether a component is well: its HTTP answer, a file it touches, or its heartbeat in Airflow's health document.

A heartbeat in that document counts only if it is younger than the process: the database still holds the last start's.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REQUEST_TIMEOUT_S = 5.0

TOUCHED_WITHIN_S = 60.0
"""A component whose probe is a file touches it every few seconds; a machine may be busy for longer."""


@dataclass(frozen=True)
class Probe:
    """Where to ask; `section` names the part of Airflow's health document that holds the component's heartbeat."""

    url: str
    section: str | None = None


@dataclass(frozen=True)
class Answer:
    """What one address said: a document, or why there is none."""

    document: dict[str, Any]
    problem: str | None


def ask(url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Answer:
    """Read a health address once. An answer that is not JSON (MLflow's "OK") gives an empty document."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _knock(url, parts.path, timeout_s)
    if parts.scheme == "file":
        return _look_at_file(Path(parts.path))
    # http.client, not a library that would go through the shell's proxy
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer({}, f"{url} does not answer ({error})")
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        return Answer({}, f"{url} answers {response.status}")
    return Answer(_read_document(body), None)


def _knock(url: str, path: str, timeout_s: float) -> Answer:
    """Connect to a Unix socket and leave again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except OSError as error:
            return Answer({}, f"{url} does not answer ({error})")
    return Answer({}, None)


def _look_at_file(path: Path) -> Answer:
    """Judge a file by its age."""
    try:
        age_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return Answer({}, f"{path} is not there")
    return Answer({}, None if age_s < TOUCHED_WITHIN_S else f"{path} was last touched {age_s:.0f} s ago")


def _read_document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def find_problem(probe: Probe, answer: Answer, *, started_at: float) -> str | None:
    """Say what is wrong with a component, or None.

    Parameters
    ----------
    probe
        What to look at.
    answer
        What the probe's address said.
    started_at
        When the component's process was started, seconds since 1970 UTC.
    """
    if answer.problem or probe.section is None:
        return answer.problem
    section = answer.document.get(probe.section) or {}
    heartbeat = section.get(f"latest_{probe.section}_heartbeat")
    if heartbeat is None or _seconds(heartbeat) < started_at:
        return "no heartbeat yet"
    return None if section.get("status") == "healthy" else f"last heartbeat {heartbeat}"


def _seconds(moment: str) -> float:
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
