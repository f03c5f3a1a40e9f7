"""The deadline of a close, from Airflow's own row of it to the incident, as scheduler and executor go about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from include.alerts.overview import read_overview
from include.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models import DagRun
    from airflow.models.deadline import Deadline
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SESSION = "2018-06-05"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


@pytest.fixture
def session(dag_bag: DagBag) -> Iterator[Session]:
    """A transaction of Airflow's database that is taken back."""
    from airflow.utils.session import create_session

    with create_session() as session:
        yield session
        session.rollback()


@pytest.fixture
def run(session: Session) -> DagRun:
    """A run as the scheduler makes it."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    dag = SerializedDagModel.get_dag("market_close", session=session)
    assert dag is not None
    run = dag.create_dagrun(
        run_id="late",
        run_after=datetime.now(UTC),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.QUEUED,
        partition_key=SESSION,
        session=session,
    )
    session.flush()  # Airflow's sessions do not by themselves
    return run


def find_deadline(session: Session, run: DagRun) -> Deadline:
    from airflow.models.deadline import Deadline
    from sqlalchemy import select

    return session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id)).one()


def test_a_deadline_that_is_missed_is_an_incident(session: Session, run: DagRun, home: Settings) -> None:
    from airflow.sdk.execution_time.callback_supervisor import execute_callback, log

    deadline = find_deadline(session, run)
    waits = deadline.deadline_time - run.queued_at - timedelta(seconds=home.forecast_deadline_s)
    assert abs(waits) < timedelta(seconds=10)
    deadline.handle_miss(session)
    asked = dict(deadline.callback.data)
    done, error = execute_callback(asked["path"], asked["kwargs"], "market_close.py", None, log)
    assert (done, error) == (True, None)
    (found,) = read_overview(home, 0.0).episodes
    assert (found.key, str(found.affected.session)) == (f"upload_missing/{SESSION}", SESSION)


def test_a_run_that_failed_can_be_cleared_and_keeps_its_deadline(session: Session, run: DagRun) -> None:
    from airflow.models.taskinstance import clear_task_instances
    from airflow.utils.state import DagRunState

    due, run.state = find_deadline(session, run).deadline_time, DagRunState.FAILED
    clear_task_instances(run.get_task_instances(session=session), session, dag_run_state=DagRunState.QUEUED)
    session.flush()
    assert run.state == DagRunState.QUEUED
    assert find_deadline(session, run).deadline_time == due
