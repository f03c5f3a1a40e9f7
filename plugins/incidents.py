"""The page of incidents inside Airflow's web server, to those who are logged in (see `login_pages`)."""

from __future__ import annotations

import time

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI, HTTPException
from fastapi.responses import Response
from login_pages import open_app, send_text

MOUNT = "/incidents"


def build_app() -> FastAPI:
    """Build the app: one page."""
    app = open_app("Incidents")
    app.get("/")(give_page)
    return app


def give_page() -> Response:
    """Draw the page as things stand."""
    from include.errors import UnavailableError
    from include.monitoring.incidents_page import draw_incidents
    from include.settings import load_settings

    try:
        return send_text(draw_incidents(load_settings(), time.time()))
    except UnavailableError as error:
        raise HTTPException(status_code=503, detail=str(error)) from error


class IncidentsPlugin(AirflowPlugin):
    """The app, and its place in the navigation."""

    name = "incidents"
    fastapi_apps = [{"app": build_app(), "url_prefix": MOUNT, "name": "Incidents"}]  # noqa: RUF012  # Airflow's form
    # Without a route in Airflow's pages it opens in a tab of its own: in Airflow's frame its links would lead nowhere.
    external_views = [{"name": "Incidents", "href": f"{MOUNT}/", "destination": "nav"}]  # noqa: RUF012
