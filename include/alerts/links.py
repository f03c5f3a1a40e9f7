"""Addresses of pages, as messages and the page of incidents give them."""

from __future__ import annotations

from urllib.parse import quote

from include.alerts.incidents import Links
from include.alerts.kinds import Kind


def link_run(pages: str | None, dag_id: str, run_id: str) -> str | None:
    """Give the address of a run; None where nobody has said how people reach Airflow.

    Examples
    --------
    >>> link_run("http://airflow:8080/", "market_close", "manual__2026-11-20T00:00:00+00:00")
    'http://airflow:8080/dags/market_close/runs/manual__2026-11-20T00%3A00%3A00%2B00%3A00'
    """
    return f"{pages.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id, safe='')}" if pages else None


def link_runbook(kind: Kind, docs_url: str | None) -> str | None:
    """Give the address of the page that says what to do; None where nobody has said where docs/ is served."""
    return f"{docs_url.rstrip('/')}/{kind.runbook.removeprefix('docs/')}" if docs_url else None


def name_links(links: Links) -> dict[str, str]:
    """Give the addresses that an incident has, by the names that people read."""
    named = {"Run": links.run, "Log": links.log, "Data Docs": links.data_docs, "Session report": links.report}
    return {name: url for name, url in named.items() if url}
