"""Of a session's runs the newest is read, all of it and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from include.errors import NotFoundError
from include.lake.predictions import read_newest_run, read_run
from include.lake.runs import scored_sessions
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS
from tests.include.lake.rows import MOMENT, forecast_row, put_forecasts

AS_OF = date(2018, 6, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two runs of a session, the second committed last though scored first, and one of the session before."""
    later = {"run_id": "second", "scored_at": MOMENT - timedelta(seconds=1)}
    before = {"as_of": AS_OF - timedelta(days=1), "run_id": "yesterday", "scored_at": MOMENT + timedelta(days=9)}
    put_forecasts(tmp_path, (forecast_row(name, "open", 1.2, 1.0) for name in "ABC"))
    put_forecasts(tmp_path, (forecast_row(name, "open", 1.1, 1.0, **later) for name in "AB"))
    put_forecasts(tmp_path, ([forecast_row("A", "open", 1.3, 1.0, **before)]))
    return tmp_path


def test_the_newest_run_is_read_whole(lake: Path) -> None:
    run = read_newest_run(lake, AS_OF)
    assert run.schema == PREDICTIONS.schema
    assert run.select(["symbol", "run_id", "predicted"]).to_pylist() == [
        {"symbol": "A", "run_id": "second", "predicted": 1.1},
        {"symbol": "B", "run_id": "second", "predicted": 1.1},
    ]


def test_an_earlier_run_can_be_asked_for(lake: Path) -> None:
    assert read_run(lake, AS_OF, "first")["symbol"].to_pylist() == ["A", "B", "C"]
    with pytest.raises(NotFoundError, match=r"session 2018-06-01 must have this run\. Received: third"):
        read_run(lake, AS_OF, "third")


def test_scored_sessions_are_listed_once_oldest_first(lake: Path) -> None:
    assert scored_sessions(lake) == [AS_OF - timedelta(days=1), AS_OF]
    assert scored_sessions(lake, table=ADHOC_PREDICTIONS) == []


def test_a_session_that_was_not_scored(lake: Path) -> None:
    with pytest.raises(NotFoundError, match="session 2018-06-03 must have been scored"):
        read_newest_run(lake, date(2018, 6, 3))
