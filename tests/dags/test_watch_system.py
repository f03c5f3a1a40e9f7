"""The watchdog against a real Airflow: its REST interface, over a database in which things have gone wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from include.settings import Settings
from include.system import airflow_api
from include.system.airflow_api import AirflowApi, connect_airflow
from include.system.components import build_components
from include.system.credentials import load_login
from include.system.endpoints import choose_endpoints
from include.system.environment import airflow_database, component_environment
from include.system.health import ask
from include.system.state import prepare_home, write_state
from include.watchdog import airflow_facts
from include.watchdog.patrol import watch_system
from include.watchdog.told import read_open_keys
from tests.conftest import AIRFLOW_HOME
from tests.include.watchdog.scenes import make_state

pytestmark = [pytest.mark.slow, pytest.mark.stack]


@dataclass(frozen=True)
class Airflow:
    """An API server on loopback over a copy of the tests' database; no scheduler moves anything behind our back."""

    settings: Settings
    api: AirflowApi

    def change(self, path: str, body: dict[str, object]) -> None:
        answer = requests.patch(
            f"{self.api.url}/api/v2/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.api.token}"},
            timeout=30,
        )
        assert answer.ok, answer.text

    def finish(self, dag_id: str, run_id: str, state: str) -> None:
        self.change(f"dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def write(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(airflow_database(self.settings))) as connection, connection:
            connection.execute(statement, values)

    def look(self, *, minutes: float = 5) -> tuple[list[str], list[str]]:
        """Look as it will be in so many minutes; give what was told and what recovered."""
        found = watch_system(self.settings, datetime.now(UTC) + timedelta(minutes=minutes))
        assert found.unread == {}
        return list(found.told), list(found.recovered)


@pytest.fixture(scope="module")
def airflow(database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    settings = Settings(home=tmp_path_factory.mktemp("watched"), _env_file=None)
    prepare_home(settings)
    load_login(settings)
    _copy_database(Path(AIRFLOW_HOME.name) / "airflow.db", airflow_database(settings))
    endpoints = choose_endpoints(settings)
    server = next(each for each in build_components(settings, endpoints) if each.name == "api-server")
    with (settings.run_dir / "logs" / "api-server.log").open("wb") as log:
        process = subprocess.Popen(server.argv, env=component_environment(settings, endpoints), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while ask(server.probe.url).problem:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
        state = make_state(endpoints.airflow_url)
        write_state(settings.run_dir, state)
        yield Airflow(settings, connect_airflow(settings, state))
    finally:
        process.terminate()
        process.wait()


def _copy_database(source: Path, target: Path) -> None:
    """Copy what is committed: the file alone lacks what its write-ahead log still holds."""
    with closing(sqlite3.connect(source)) as before, closing(sqlite3.connect(target)) as after:
        before.backup(after)
        with after:  # the tests' own Airflow makes DAGs paused; the system's does not
            after.execute("UPDATE dag SET is_paused = 0")
            for table in ("task_instance", "dag_run"):  # what other tests have run there is not what is watched here
                after.execute(f"DELETE FROM {table}")


def test_an_airflow_that_is_well_gives_no_findings(airflow: Airflow) -> None:
    assert airflow.look() == ([], [])
    names = {dag.dag_id for dag in airflow_facts.read_dags(airflow.api)}
    assert {"market_close", "watch_system"} <= names


def test_a_failure_that_no_callback_told_of_is_told_once_and_heals_with_the_next_good_run(airflow: Airflow) -> None:
    run_id = airflow.api.trigger("watch_forecasts", {"session": "2018-06-01"})
    airflow.finish("watch_forecasts", run_id, "failed")
    assert airflow.look(minutes=0) == ([], [])  # its callback has a minute
    assert airflow.look() == (["run_failed/watch_forecasts"], [])
    assert airflow.look() == ([], [])
    airflow.finish("watch_forecasts", airflow.api.trigger("watch_forecasts"), "success")
    assert airflow.look() == ([], ["run_failed/watch_forecasts"])
    assert airflow.look() == ([], [])


def test_a_dag_that_stays_paused_is_told_and_so_is_its_end(airflow: Airflow) -> None:
    airflow.change("dags/retrain_weekly", {"is_paused": True})
    assert airflow.look() == ([], [])
    assert airflow.look() == (["dag_paused/retrain_weekly"], [])
    airflow.change("dags/retrain_weekly", {"is_paused": False})
    assert airflow.look() == ([], ["dag_paused/retrain_weekly"])


def test_a_file_that_does_not_parse_is_told(airflow: Airflow) -> None:
    airflow.write(
        "INSERT INTO import_error (timestamp, filename, bundle_name, stacktrace) VALUES (?, ?, ?, ?)",
        "2026-11-20 00:00:00.000000",
        "market_close.py",
        "dags-folder",
        "Traceback:\nSyntaxError: invalid syntax",
    )
    airflow.look()
    assert airflow.look() == (["dag_broken/market_close.py"], [])
    airflow.write("DELETE FROM import_error")
    assert airflow.look() == ([], ["dag_broken/market_close.py"])


def test_a_run_in_which_nothing_moves_is_stuck(airflow: Airflow) -> None:
    run_id = airflow.api.trigger("maintain_lake")
    assert airflow.look(minutes=89) == ([], [])
    assert airflow.look(minutes=91) == (["run_stuck/maintain_lake"], [])
    airflow.write("UPDATE dag_run SET state = 'running', start_date = queued_at WHERE run_id = ?", run_id)
    assert airflow.look(minutes=91) == (["run_stuck/maintain_lake"], [])
    airflow.finish("maintain_lake", run_id, "success")
    assert airflow.look(minutes=91) == ([], ["run_stuck/maintain_lake"])


def test_lists_longer_than_a_page_are_read_whole(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = airflow_facts.read_dags(airflow.api)
    monkeypatch.setattr(airflow_api, "PAGE", 3)
    assert {dag.dag_id for dag in airflow_facts.read_dags(airflow.api)} == {dag.dag_id for dag in everything}
    assert len(everything) > 3


def test_an_airflow_that_does_not_answer_hides_no_session(airflow: Airflow) -> None:
    now = datetime.now(UTC)
    first = (now - timedelta(days=1)).date()
    settings = airflow.settings.model_copy(update={"first_session": first, "calendar": "24/7"})
    known = read_open_keys(settings)
    write_state(settings.run_dir, replace(make_state("http://127.0.0.1:1"), started_at="2026-01-01T00:00:00+00:00"))
    found = watch_system(settings, datetime.combine(first, datetime.min.time(), UTC) + timedelta(days=1, hours=3))
    write_state(settings.run_dir, make_state(airflow.api.url))
    assert set(found.told) - known == {f"upload_missing/{first}"}
    assert set(found.unread) == {"paused DAGs", "DAG files", "unfinished runs", "failures"}  # all that ask Airflow
    assert "Airflow must log the admin in" in found.unread["failures"]
