"""`closecast up` as a person sees it: components as they come up, then the addresses and how to log in."""

from __future__ import annotations

from typing import Any

from include.alerts.misspelt import check_telling
from include.alerts.overview import check_slack
from include.console import emit, err, out, plain, show_steps
from include.home import begin_home
from include.settings import Settings
from include.system.control import start_detached
from include.system.credentials import ADMIN, load_login, load_mlflow_passwords, mlflow_passwords_file, passwords_file
from include.system.state import read_state
from include.system.supervisor import SYSTEM, Event, run_supervisor


def run_up(settings: Settings, *, detach: bool, as_json: bool) -> None:
    """Run the system in the foreground until Ctrl-C, or start it and return."""
    check_telling(settings)
    settings = begin_home(settings)
    login = load_login(settings)
    if detach:
        with show_steps() as open_step:
            line = open_step("Start Airflow and MLflow")
            start_detached(settings, on_event=lambda event: line.say(f"{event.component}: {event.status}"))
            line.finish("all healthy")
        _tell(settings, password=login.password if login.is_new else None, as_json=as_json)
        return

    def tell(event: Event) -> None:
        err.print(f"{event.component}: {event.status} {event.detail or ''}")
        if event == Event(SYSTEM, "ready", event.detail):
            _tell(settings, password=login.password if login.is_new else None, as_json=as_json)
            err.print("Ctrl-C stops it.")

    run_supervisor(settings, on_event=tell)


def _tell(settings: Settings, *, password: str | None, as_json: bool) -> None:
    """Say where the pages are; the password only at the start that made it, and never as JSON."""
    state = read_state(settings)
    for place, fault in check_slack(settings).items():
        if fault:
            said = f"Slack will not hear of what goes wrong: {place}: {fault} (closecast doctor, docs/alerts.md)"
            err.print(f"[red]{plain(said)}[/red]", soft_wrap=True)
    payload: dict[str, Any] = {
        "airflow_url": state.airflow_url if state else None,
        "mlflow_url": state.mlflow_url if state else None,
        "user": "admin",
        "password_file": passwords_file(settings),
        "mlflow_password_file": None if settings.mlflow_tracking_uri else mlflow_passwords_file(settings),
        "inbox": settings.inbox_url,
    }
    emit(payload, as_json=as_json, render=lambda: _draw(settings, payload, password))


def _draw(settings: Settings, payload: dict[str, Any], password: str | None) -> None:
    shown = f" {password} (shown this once)" if password else ""
    out.print(f"Airflow:  {payload['airflow_url']}  user {payload['user']}, password{shown}")
    out.print(f"          kept in {plain(str(payload['password_file']))}", soft_wrap=True)
    if own := payload["mlflow_password_file"]:
        shown = f" {load_mlflow_passwords(settings)[ADMIN].get_secret_value()} (shown this once)" if password else ""
        out.print(f"MLflow:   {payload['mlflow_url']}  user {ADMIN}, password{shown}")
        out.print(f"          kept in {plain(str(own))}, with those of promoter and reader", soft_wrap=True)
    else:
        out.print(f"MLflow:   {payload['mlflow_url']}")
    out.print(f"Uploads:  place a session's file, SESSION.csv, into {plain(str(payload['inbox']))}", soft_wrap=True)
    if settings.last_session:
        out.print(f"Schedule: ends with session {settings.last_session}; CLOSECAST_LAST_SESSION sets another end")
    out.print("Stop:     make down, or closecast down")
