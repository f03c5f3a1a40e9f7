"""What a home remembers of how it was begun: its calendar and the sessions that are scheduled.

A home holds bars of one exchange, so the calendar belongs to it and not to the shell that looks at it next. A setting
that is given wins over what the home remembers.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from include.errors import InputError
from include.files import write_atomically
from include.market.sessions import newest_closed_session
from include.settings import Settings, load_settings
from include.system.credentials import use_own_mlflow
from include.system.state import read_state

MEMORY = "closecast.json"
REMEMBERED = ("calendar", "first_session", "last_session", "close_delay_s")


def remember_home(settings: Settings, *, made_by: str) -> None:
    """Write down what a home is begun with."""
    chosen = {name: getattr(settings, name) for name in REMEMBERED}
    write_atomically(settings.home / MEMORY, json.dumps({"made_by": made_by} | chosen, default=str))


def made_by(settings: Settings) -> str | None:
    """Return which command began a home, None where it remembers nothing."""
    found = _read_memory(settings).get("made_by")
    return None if found is None else str(found)


def recall_home(settings: Settings) -> Settings:
    """Return the settings with what the home remembers where they are silent."""
    memory = _read_memory(settings)
    recalled = {name: memory[name] for name in REMEMBERED if name in memory}
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings.model_validate({**recalled, **given}) if recalled else settings


def begin_home(settings: Settings) -> Settings:
    """Recall a home; begin a new one with the newest closed session as the first that is scheduled."""
    settings = recall_home(settings)
    if settings.first_session is None:
        first = newest_closed_session(settings.calendar, datetime.now(UTC))
        settings = settings.model_copy(update={"first_session": first})
    beginner = made_by(settings)
    if beginner == "demo" and settings.last_session is not None and _is_recent(settings):
        settings = settings.model_copy(update={"last_session": None})  # its exchange goes on tomorrow
    if beginner != "up":
        remember_home(settings, made_by="up")  # from now on no demo removes it
    return settings


def remember_calendar(settings: Settings) -> None:
    """Keep the calendar of a home that remembers nothing yet: its first bars are of that exchange."""
    if made_by(settings) is None:
        remember_home(settings, made_by="ingest")


def _is_recent(settings: Settings) -> bool:
    """Whether the last scheduled session was a few days ago and not years: else all those between would wait."""
    newest = newest_closed_session(settings.calendar, datetime.now(UTC))
    return settings.last_session is not None and newest - settings.last_session <= timedelta(days=3)


def with_running_registry(settings: Settings) -> Settings:
    """Return the settings with the MLflow server of the running system where none is set."""
    state = read_state(settings) if settings.mlflow_tracking_uri is None else None
    return use_own_mlflow(settings, state.mlflow_url) if state else settings


def _read_memory(settings: Settings) -> dict[str, object]:
    path = settings.home / MEMORY
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError("what a home remembers must be JSON", value=str(error), place=str(path)) from error
    if not isinstance(found, dict):
        raise InputError("what a home remembers must be a JSON object", value=type(found).__name__, place=str(path))
    return found


def current_settings() -> Settings:
    """Return the settings of the home, with its running registry."""
    return with_running_registry(recall_home(load_settings()))
