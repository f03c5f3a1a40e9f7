"""Serves the sessions' pages inside Airflow's web server, to those who are logged in.

Only dates are looked for, so no path leads out of their folder; the rest is in `login_pages`.
"""

from __future__ import annotations

from datetime import date

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse, Response
from login_pages import open_app, send_page
from session_report_link import MOUNT


def build_app() -> FastAPI:
    """Build the app: the newest page, and each by its session."""
    app = open_app("Session reports")
    app.get("/newest")(lead_to_newest)
    app.get("/{day}")(give_page)
    return app


def lead_to_newest() -> Response:
    """Send to the page of the newest session that has one."""
    from include.monitoring.session_report import list_reports
    from include.settings import load_settings

    reports = list_reports(load_settings())
    if not reports:
        raise HTTPException(status_code=404, detail="no session has a page yet")
    return RedirectResponse(f"{MOUNT}/{reports[-1]}")


def give_page(day: date) -> Response:
    """Give the page of one session."""
    from include.monitoring.session_report import report_path
    from include.settings import load_settings

    path = report_path(load_settings(), day)
    if not path.is_file():
        raise HTTPException(status_code=404, detail="this session has no page")
    return send_page(path)


class SessionReportsPlugin(AirflowPlugin):
    """The app, and its place in the navigation."""

    name = "session_reports"
    fastapi_apps = [{"app": build_app(), "url_prefix": MOUNT, "name": "Session reports"}]  # noqa: RUF012  # Airflow's form
    external_views = [  # noqa: RUF012
        {"name": "Session reports", "href": f"{MOUNT}/newest", "destination": "nav", "url_route": "session-reports"}
    ]
