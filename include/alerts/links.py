"""Addresses on Airflow's pages, as a message gives them."""

from __future__ import annotations

from urllib.parse import quote


def link_run(pages: str | None, dag_id: str, run_id: str) -> str | None:
    """Give the address of a run; None where nobody has said how people reach Airflow.

    Examples
    --------
    >>> link_run("http://airflow:8080/", "market_close", "manual__2026-11-20T00:00:00+00:00")
    'http://airflow:8080/dags/market_close/runs/manual__2026-11-20T00%3A00%3A00%2B00%3A00'
    """
    return f"{pages.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id, safe='')}" if pages else None
