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

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SESSION = "2018-06-05"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def test_a_deadline_that_is_missed_is_an_incident(dag_bag: DagBag, home: Settings) -> None:
    from airflow.models.deadline import Deadline
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk.execution_time.callback_supervisor import execute_callback, log
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    with create_session() as session:
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
        deadline = session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id)).one()
        assert deadline.deadline_time - run.queued_at == timedelta(seconds=home.forecast_deadline_s)
        deadline.handle_miss(session)
        asked = dict(deadline.callback.data)
        session.rollback()
    done, error = execute_callback(asked["path"], asked["kwargs"], "market_close.py", None, log)
    assert (done, error) == (True, None)
    (found,) = read_overview(home, 0.0).episodes
    assert (found.key, str(found.affected.session)) == (f"upload_missing/{SESSION}", SESSION)
