"""Airflow's REST interface as far as it is needed: log in, start a run or clear it, ask how runs and tasks stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from include.errors import UnavailableError
from include.settings import Settings
from include.system.credentials import load_login
from include.system.state import State

TIMEOUT_S = 10.0
FINISHED = ("success", "failed")
PAGE = 100
"""Rows that Airflow gives at once, at most."""


class NotThereError(UnavailableError):
    """Airflow has no such DAG, run or task."""


@dataclass(frozen=True)
class AirflowApi:
    """An address and a token."""

    url: str
    token: str

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask for a path below /api/v2."""
        return self._call("GET", path, params=query)

    def pages(self, path: str, name: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Ask for all of a list, a page at a time; `name` is the list's in the answer."""
        offset = 0
        while True:
            page = self.get(path, limit=PAGE, offset=offset, **query)
            yield from page[name]
            offset += PAGE
            if offset >= page["total_entries"]:
                return

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, partition_key: str | None = None) -> str:
        """Start a run; return its id."""
        # A manual run has no logical date in Airflow 3, and the key must be there all the same.
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if partition_key:
            body["partition_key"] = partition_key
        return str(self._call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def clear_failed(self, dag_id: str, run_id: str) -> None:
        """Have a run take up again what failed in it."""
        self._call("POST", f"dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False, "only_failed": True})

    def runs_of(self, dag_id: str, partition_key: str) -> list[dict[str, Any]]:
        """Return the runs of a partition of a DAG, the newest first."""
        path = f"dags/{dag_id}/dagRuns"
        found = self.pages(path, "dag_runs", order_by="-id", partition_key_prefix_pattern=partition_key)
        return [run for run in found if run["partition_key"] == partition_key]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the tasks of a run."""
        return list(self.pages(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances"))

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        url = f"{self.url}/api/v2/{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = requests.request(method, url, headers=headers, timeout=TIMEOUT_S, **options)
        except requests.RequestException as error:
            raise UnavailableError("Airflow must answer", value=type(error).__name__, place=url) from error
        if not answer.ok:
            kind = NotThereError if answer.status_code == requests.codes.not_found else UnavailableError
            raise kind("Airflow must take the request", value=f"{answer.status_code} {answer.text[:300]}", place=url)
        found: dict[str, Any] = answer.json()
        return found


def connect_airflow(settings: Settings, state: State) -> AirflowApi:
    """Log in to the running Airflow as its admin."""
    login = load_login(settings)
    url = f"{state.airflow_url}/auth/token"
    try:
        answer = requests.post(url, json={"username": login.user, "password": login.password}, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise UnavailableError("Airflow must log the admin in", value=type(error).__name__, place=url) from error
    return AirflowApi(state.airflow_url, answer.json()["access_token"])
