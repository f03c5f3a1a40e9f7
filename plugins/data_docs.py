"""Serves the Data Docs inside Airflow's web server, to those who are logged in; a task that validates links to them.

Airflow mounts a plugin's app without its login, so every route asks for the user itself, and sends a browser that has
none to the login page. Only names that pages have
are looked for, so no path leads out of their folder, and a page may run no script (see `include.quality.docs`).
"""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from airflow.plugins_manager import AirflowPlugin
from data_docs_link import MOUNT
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, RedirectResponse, Response

LOGIN = "/api/v2/auth/login"
"""Airflow's own way to the page of whatever asks for its logins."""


def build_app() -> FastAPI:
    """Build the app: the index at its root, and each page by its name."""
    from airflow.api_fastapi.core_api.security import get_user

    app = FastAPI(title="Data Docs", dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)
    for code in (401, 403):
        app.add_exception_handler(code, lead_to_login)
    app.get("/")(lead_to_index)
    app.get("/session/{day}")(lead_to_newest)
    app.get("/{name}")(give_page)
    return app


async def lead_to_login(request: Request, error: Exception) -> Response:
    """Send a browser without a login, or with one that has expired, to Airflow's login page, from where it comes back.

    A program gets the error in JSON.
    """
    assert isinstance(error, HTTPException)  # no other has a status
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(
            f"{LOGIN}?{urlencode({'next': str(request.url)})}", headers={"Cache-Control": "no-store"}
        )
    return await http_exception_handler(request, error)


def lead_to_index() -> Response:
    """Send to the index, whose links are relative to it."""
    return RedirectResponse(f"{MOUNT}/index.html")


def lead_to_newest(day: date) -> Response:
    """Send to the newest page of a session."""
    from include.quality.docs import list_pages
    from include.settings import load_settings

    for page in list_pages(load_settings().data_docs):
        if (page.suite, page.session) == ("session", day):
            return RedirectResponse(f"{MOUNT}/{page.name}")
    raise HTTPException(status_code=404, detail="this session has no page; the newest are in index.html")


def give_page(name: str) -> Response:
    """Give one page; anything else is not found, whatever it is called."""
    from include.quality.docs import POLICY, is_page
    from include.settings import load_settings

    path = load_settings().data_docs / name
    if not is_page(name) or not path.is_file():
        raise HTTPException(status_code=404, detail="no such page; the newest are in index.html")
    headers = {"Content-Security-Policy": f"{POLICY}; sandbox", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="text/html", headers=headers | {"Cache-Control": "no-store"})


class DataDocsPlugin(AirflowPlugin):
    """The app, and its place in the navigation."""

    name = "data_docs"
    fastapi_apps = [{"app": build_app(), "url_prefix": MOUNT, "name": "Data Docs"}]  # noqa: RUF012  # Airflow's form
    external_views = [  # noqa: RUF012
        {"name": "Data Docs", "href": f"{MOUNT}/index.html", "destination": "nav", "url_route": "data-docs"}
    ]
