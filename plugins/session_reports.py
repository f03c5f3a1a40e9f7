"""Serves the sessions' pages inside Airflow's web server, to those who are logged in.

As with the Data Docs every route asks for the user itself, and only dates are looked for.
"""

from __future__ import annotations

from datetime import date

from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, RedirectResponse, Response
from session_report_link import MOUNT


def build_app() -> FastAPI:
    """Build the app: the newest page, and each by its session."""
    from airflow.api_fastapi.core_api.security import get_user

    app = FastAPI(
        title="Session reports", dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None
    )
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
    from include.quality.docs import POLICY
    from include.settings import load_settings

    path = report_path(load_settings(), day)
    if not path.is_file():
        raise HTTPException(status_code=404, detail="this session has no page")
    headers = {"Content-Security-Policy": f"{POLICY}; sandbox", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="text/html", headers=headers | {"Cache-Control": "no-store"})


class SessionReportsPlugin(AirflowPlugin):
    """The app, and its place in the navigation."""

    name = "session_reports"
    fastapi_apps = [{"app": build_app(), "url_prefix": MOUNT, "name": "Session reports"}]  # noqa: RUF012  # Airflow's form
    external_views = [  # noqa: RUF012
        {"name": "Session reports", "href": f"{MOUNT}/newest", "destination": "nav", "url_route": "session-reports"}
    ]
