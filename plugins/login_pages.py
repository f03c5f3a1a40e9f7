"""Pages inside Airflow's web server, to those who are logged in: what the apps of Data Docs and of reports share.

Airflow mounts a plugin's app without its login, so every route asks for the user itself, and sends a browser that has
none to the login page. A page may run no script (see `include.quality.page`).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

LOGIN = "/api/v2/auth/login"
"""Airflow's own way to the page of whatever asks for its logins."""


def open_app(title: str) -> FastAPI:
    """Give an app without a route, whose routes are for those who are logged in."""
    from airflow.api_fastapi.core_api.security import get_user

    app = FastAPI(title=title, dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)
    for code in (401, 403):
        app.add_exception_handler(code, lead_to_login)
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


def send_page(path: Path) -> Response:
    """Give a page's file, which may neither run nor load anything."""
    return FileResponse(path, media_type="text/html", headers=_write_headers())


def send_text(page: str) -> Response:
    """Give a page that was drawn for this request, under the same rules."""
    return HTMLResponse(page, headers=_write_headers())


def _write_headers() -> dict[str, str]:
    from include.quality.page import POLICY

    return {
        "Content-Security-Policy": f"{POLICY}; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
