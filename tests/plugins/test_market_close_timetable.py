"""The timetable's runs against published closes, as Airflow's own tests ask a timetable; no server runs."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid, InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

from include.market.sessions import newest_closed_session, next_session
from include.settings import PROJECT_ROOT
from plugins.market_close_timetable import MarketCloseTimetable

XNYS = MarketCloseTimetable("XNYS", delay_s=60)
START = pendulum.datetime(2016, 11, 21)


def read_closes() -> dict[date, datetime]:
    lines = (PROJECT_ROOT / "tests" / "data" / "closes_xnys.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {
        date.fromisoformat(row["date"]): datetime.fromisoformat(row["close_utc"]).replace(tzinfo=UTC)
        for row in rows
        if row["close_utc"]
    }


CLOSES = read_closes()


def run_of(session: date, *, delay_s: int = 60) -> DagRunInfo:
    return DagRunInfo(
        run_after=pendulum.instance(CLOSES[session] + timedelta(seconds=delay_s)),
        data_interval=None,
        partition_date=pendulum.datetime(session.year, session.month, session.day),
        partition_key=session.isoformat(),
    )


def restrict(
    earliest: datetime | None = START, latest: datetime | None = None, *, catchup: bool = True
) -> TimeRestriction:
    return TimeRestriction(earliest, latest, catchup)


def list_runs(timetable: MarketCloseTimetable, restriction: TimeRestriction, most: int = 50) -> list[DagRunInfo]:
    runs: list[DagRunInfo] = []
    last = None
    while len(runs) < most and (last := timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)):
        runs.append(last)
    return runs


@pytest.mark.parametrize(
    ("last", "following"),
    [
        pytest.param(date(2016, 11, 23), date(2016, 11, 25), id="over Thanksgiving to a half day"),
        pytest.param(date(2016, 11, 25), date(2016, 11, 28), id="over a week-end"),
        pytest.param(date(2016, 11, 4), date(2016, 11, 7), id="summer time ends"),
        pytest.param(date(2017, 3, 10), date(2017, 3, 13), id="summer time begins"),
        pytest.param(date(2017, 7, 3), date(2017, 7, 5), id="half day, then Independence Day"),
        pytest.param(date(2017, 12, 22), date(2017, 12, 26), id="Christmas after a week-end"),
        pytest.param(date(2018, 12, 4), date(2018, 12, 6), id="day of mourning"),
        pytest.param(date(2012, 10, 26), date(2012, 10, 31), id="two days of a hurricane"),
    ],
)
def test_the_next_run_is_the_next_session_at_its_published_close(last: date, following: date) -> None:
    restriction = restrict(pendulum.datetime(2012, 1, 1))
    assert XNYS.next_dagrun_info_v2(last_dagrun_info=run_of(last), restriction=restriction) == run_of(following)


def test_half_days_run_at_one_in_new_york() -> None:
    info = XNYS.next_dagrun_info_v2(last_dagrun_info=run_of(date(2016, 11, 23)), restriction=restrict())
    assert info.run_after.in_timezone("America/New_York").isoformat() == "2016-11-25T13:01:00-05:00"


def test_catchup_runs_every_session_between_start_and_end() -> None:
    runs = list_runs(XNYS, restrict(latest=pendulum.datetime(2016, 11, 28)))
    assert runs == [run_of(date(2016, 11, day)) for day in (21, 22, 23, 25, 28)]


@pytest.mark.parametrize(
    ("earliest", "first"),
    [
        pytest.param(pendulum.datetime(2016, 11, 24), date(2016, 11, 25), id="a holiday"),
        pytest.param(pendulum.datetime(2016, 11, 25), date(2016, 11, 25), id="midnight UTC"),
        pytest.param(pendulum.datetime(2016, 11, 25, tz="America/New_York"), date(2016, 11, 25), id="New York"),
        pytest.param(pendulum.datetime(2016, 11, 25, 17, 59, 59), date(2016, 11, 25), id="just before the close"),
        pytest.param(pendulum.datetime(2016, 11, 25, 18), date(2016, 11, 28), id="at the close"),
    ],
)
def test_no_run_lies_before_the_start_date(earliest: datetime, first: date) -> None:
    info = XNYS.next_dagrun_info_v2(last_dagrun_info=None, restriction=restrict(earliest))
    assert info == run_of(first)
    assert info.run_after > earliest


def test_a_later_start_date_wins_over_the_last_run() -> None:
    info = XNYS.next_dagrun_info_v2(
        last_dagrun_info=run_of(date(2016, 11, 21)), restriction=restrict(pendulum.datetime(2017, 7, 1))
    )
    assert info == run_of(date(2017, 7, 3))


@pytest.mark.parametrize("last", [date(2016, 11, 22), None])
def test_nothing_runs_after_the_end_date(last: date | None) -> None:
    restriction = restrict(pendulum.datetime(2016, 11, 23), pendulum.datetime(2016, 11, 22, 23))
    reference = None if last is None else run_of(last)
    assert XNYS.next_dagrun_info_v2(last_dagrun_info=reference, restriction=restriction) is None


@pytest.mark.parametrize("earliest", [START, None])
def test_without_catchup_the_newest_closed_session_comes_first(earliest: datetime | None) -> None:
    timetable = MarketCloseTimetable("24/7", delay_s=0)
    restriction = restrict(earliest, catchup=False)
    before = newest_closed_session("24/7", datetime.now(UTC))
    info = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert before.isoformat() <= info.partition_key <= newest_closed_session("24/7", datetime.now(UTC)).isoformat()
    assert info.run_after <= datetime.now(UTC)


def test_without_catchup_a_run_is_not_made_twice() -> None:
    timetable = MarketCloseTimetable("24/7", delay_s=0)
    restriction = restrict(catchup=False)
    first, second = list_runs(timetable, restriction, most=2)
    assert second.partition_date == first.partition_date + timedelta(days=1)


def test_without_start_date_catchup_begins_at_the_newest_closed_session() -> None:
    info = XNYS.next_dagrun_info_v2(last_dagrun_info=None, restriction=restrict(None))
    assert info.partition_key == newest_closed_session("XNYS", datetime.now(UTC)).isoformat()


def test_a_run_of_another_timetable_counts_for_the_session_closed_by_then() -> None:
    noon = pendulum.datetime(2016, 11, 23, 12)
    old = DagRunInfo(run_after=noon, data_interval=DataInterval.exact(noon))
    assert XNYS.next_dagrun_info_v2(last_dagrun_info=old, restriction=restrict()) == run_of(date(2016, 11, 23))


def test_crypto_sessions_run_after_the_next_midnight() -> None:
    timetable = MarketCloseTimetable(delay_s=90)
    (info,) = list_runs(timetable, restrict(pendulum.datetime(2016, 2, 29)), most=1)
    assert (info.partition_key, info.run_after) == ("2016-02-29", pendulum.datetime(2016, 3, 1, 0, 1, 30))


def test_backfill_takes_the_sessions_of_a_stretch_both_ends_included() -> None:
    runs = list(XNYS.iter_partition_dagrun_infos(earliest=START, latest=pendulum.datetime(2016, 11, 28)))
    assert runs == [run_of(date(2016, 11, day)) for day in (21, 22, 23, 25, 28)]
    later = list(XNYS.iter_partition_dagrun_infos(earliest=START.add(hours=1), latest=pendulum.datetime(2016, 11, 22)))
    assert later == [run_of(date(2016, 11, 22))]


def test_backfill_leaves_sessions_that_have_not_closed_to_the_schedule() -> None:
    now = pendulum.now("UTC")
    runs = list(XNYS.iter_partition_dagrun_infos(earliest=now.subtract(days=10), latest=now.add(days=10)))
    newest = newest_closed_session("XNYS", datetime.now(UTC))
    assert runs[-1].partition_key in (newest.isoformat(), next_session("XNYS", newest).isoformat())
    assert all(info.run_after - timedelta(seconds=60) <= datetime.now(UTC) for info in runs)


def test_a_posted_partition_key_must_be_a_session() -> None:
    assert XNYS.resolve_partition_date("2016-11-25") == pendulum.datetime(2016, 11, 25)
    for wrong in ("2016-11-24", "2016-11-26"):
        with pytest.raises(InvalidPartitionKeyError, match=f"must be a session of XNYS. Received: {wrong}"):
            XNYS.resolve_partition_date(wrong)
    with pytest.raises(InvalidPartitionKeyError, match=r"as YYYY-MM-DD\. Received: 25/11/2016"):
        XNYS.resolve_partition_date("25/11/2016")


@pytest.mark.parametrize("kind", [DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB, DagRunType.MANUAL])
def test_run_ids_name_the_session_and_never_collide(kind: DagRunType) -> None:
    info = run_of(date(2016, 11, 25))
    made = {
        XNYS.generate_run_id(
            run_type=kind, run_after=info.run_after, data_interval=None, partition_key=info.partition_key
        )
        for _ in range(20)
    }
    assert len(made) == 20
    assert all(run_id.startswith(f"{kind.value}__2016-11-25__") for run_id in made)
    assert {DagRunType.from_run_id(run_id) for run_id in made} == {kind}


def test_a_manual_run_without_session_is_named_by_its_moment() -> None:
    run_id = XNYS.generate_run_id(run_type=DagRunType.MANUAL, run_after=START, data_interval=None, partition_key=None)
    assert run_id.startswith("manual__2016-11-21T00:00:00+00:00__")
    assert XNYS.infer_manual_data_interval(run_after=START) == DataInterval.exact(START)


def test_it_survives_serialisation_and_describes_itself() -> None:
    again = MarketCloseTimetable.deserialize(XNYS.serialize())
    assert (again.calendar, again.delay_s) == ("XNYS", 60)
    assert XNYS.summary == "XNYS close + 60 s"
    assert XNYS.description == "At every close of XNYS and 60 s"
    assert XNYS.partitioned
    assert XNYS.periodic


def test_a_negative_delay_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(AirflowTimetableInvalid, match="delay_s must be 0 or more. Received: -1"):
        MarketCloseTimetable("XNYS", delay_s=-1).validate()
    XNYS.validate()


STORE_A_DAG = """
import sys
import pendulum
from airflow.sdk import DAG
from market_close_timetable import MarketCloseTimetable
heavy = {"exchange_calendars", "pandas", "tensorflow", "mlflow", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
from airflow.serialization.serialized_objects import DagSerialization
dag = DAG("closes", schedule=MarketCloseTimetable("XNYS", 5), start_date=pendulum.datetime(2016, 11, 21))
timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
print(type(timetable).__name__, timetable.serialize())
"""


def test_a_stored_dag_brings_the_plugin_back_and_importing_it_loads_nothing_heavy(tmp_path: Path) -> None:
    environment = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{PROJECT_ROOT}:{PROJECT_ROOT / 'plugins'}",
        "PATH": str(Path(sys.executable).parent),
    }
    ran = subprocess.run(
        [sys.executable, "-c", STORE_A_DAG], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.splitlines()[-1] == "MarketCloseTimetable {'calendar': 'XNYS', 'delay_s': 5}"
