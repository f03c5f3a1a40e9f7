"""How a home stands: what runs, where its pages are, what the lake holds."""

from __future__ import annotations

import time
from typing import Any

from include.alerts.overview import read_overview
from include.alerts.targets import list_targets
from include.alerts.trouble import describe_trouble
from include.console import build_facts, out, plain
from include.errors import InputError, UnavailableError
from include.lake.catalog import committed_state, find_committed
from include.lake.files import list_sessions
from include.lake.runs import scored_sessions
from include.lake.tables import BARS
from include.settings import Settings
from include.system.credentials import mlflow_passwords_file, passwords_file
from include.system.state import check_health, read_state


def read_status(settings: Settings) -> dict[str, Any]:
    """Gather the state of a home; nothing secret is in it."""
    state = read_state(settings)
    bars = find_committed(settings.lake, BARS)
    sessions = list_sessions(bars) if bars else []
    scored = scored_sessions(settings.lake)
    return {
        "home": settings.home,
        "calendar": settings.calendar,
        "running": state is not None,
        "airflow_url": state.airflow_url if state else None,
        "airflow_login": passwords_file(settings) if state else None,
        "mlflow_url": state.mlflow_url if state else None,
        "mlflow_login": mlflow_passwords_file(settings) if state and not settings.mlflow_tracking_uri else None,
        "components": check_health(state) if state else {},
        "uploads": committed_state(settings.lake).sequence,
        "bars_version": bars.version() if bars else None,
        "sessions": len(sessions),
        "newest_session": sessions[-1] if sessions else None,
        "newest_forecast": scored[-1] if scored else None,
        **_read_alerts(settings),
    }


def _read_alerts(settings: Settings) -> dict[str, Any]:
    """Say what is wrong and whether Slack hears of it, as it was at the last attempt."""
    try:
        found = read_overview(settings, time.time())
    except UnavailableError as error:
        return {"open_incidents": None, "messages_waiting": None, "slack": str(error)}
    try:
        known = "no trouble known" if list_targets(settings) else "not set"
    except InputError as error:
        known = str(error)
    return {
        "open_incidents": found.opened,
        "messages_waiting": found.waiting,
        "slack": describe_trouble(found.trouble) or known,
    }


def show_status(found: dict[str, Any]) -> None:
    """Draw what `read_status` gathered."""
    components = found["components"]
    facts = {
        key.replace("_", " "): "–" if value is None else plain(str(value))
        for key, value in found.items()
        if key != "components"
    }
    facts |= {name: "healthy" if health is True else f"[red]{health}[/red]" for name, health in components.items()}
    out.print(build_facts("Closecast", facts))
