"""Serves the Data Docs inside Airflow's web server, to those who are logged in; a task that validates links to them.

Only names that pages have are looked for, so no path leads out of their folder; the rest is in `login_pages`.
"""

from __future__ import annotations

from datetime import date

from airflow.plugins_manager import AirflowPlugin
from data_docs_link import MOUNT
from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse, Response
from login_pages import open_app, send_page


def build_app() -> FastAPI:
    """Build the app: the index at its root, and each page by its name."""
    app = open_app("Data Docs")
    app.get("/")(lead_to_index)
    app.get("/session/{day}")(lead_to_newest)
    app.get("/{name}")(give_page)
    return app


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
    from include.quality.docs import is_page
    from include.settings import load_settings

    path = load_settings().data_docs / name
    if not is_page(name) or not path.is_file():
        raise HTTPException(status_code=404, detail="no such page; the newest are in index.html")
    return send_page(path)


class DataDocsPlugin(AirflowPlugin):
    """The app, and its place in the navigation."""

    name = "data_docs"
    fastapi_apps = [{"app": build_app(), "url_prefix": MOUNT, "name": "Data Docs"}]  # noqa: RUF012  # Airflow's form
    external_views = [  # noqa: RUF012
        {"name": "Data Docs", "href": f"{MOUNT}/index.html", "destination": "nav", "url_route": "data-docs"}
    ]
