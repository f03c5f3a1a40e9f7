"""What Airflow's REST interface says, where it says no."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.errors import UnavailableError
from include.system.airflow_api import AirflowApi
from include.watchdog.airflow_facts import read_newest_end
from tests.include.watchdog.services import Server


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.die()


def test_a_dag_that_airflow_does_not_know_has_no_runs_and_stops_no_look(server: Server) -> None:
    server.status = 404
    assert read_newest_end(AirflowApi(server.url, "token"), "deleted") is None


def test_an_airflow_that_refuses_is_a_fact_that_cannot_be_read(server: Server) -> None:
    server.status = 503
    with pytest.raises(UnavailableError, match="503"):
        read_newest_end(AirflowApi(server.url, "token"), "market_close")
