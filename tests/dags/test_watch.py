"""The watch run for real by `dag.test()`, and how `market_close` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.settings import Settings, load_settings
from tests.include.monitoring.scenes import day, put_truth

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

# Airflow itself runs in this process and warns; our own code runs in the children.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    put_truth(settings, tmp_path, ["A", "B"], range(4))
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def test_the_watch_writes_the_page_and_starts_no_retrain_on_a_calm_session(dag_bag: DagBag, home: Settings) -> None:
    run = dag_bag.dags["watch_forecasts"].test(run_conf={"session": str(day(2))})
    assert run.state == "success"
    states = {task.task_id: task.state for task in run.get_task_instances()}
    assert states == {"watch": "success", "report": "success", "wants_retrain": "success", "retrain": "skipped"}
    assert (home.reports / f"{day(2)}.html").is_file()


def test_the_close_starts_the_watch_of_its_session(dag_bag: DagBag) -> None:
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    last = dag_bag.dags["market_close"].partial_subset("watch", include_upstream=False)
    run = last.test(run_conf={"session": "2018-06-04"})
    assert run.state == "success"
    with create_session() as session:
        started = session.scalars(select(DagRun).where(DagRun.run_id == f"watch__{run.run_id}")).one()
        assert (started.dag_id, started.conf) == ("watch_forecasts", {"session": "2018-06-04"})
