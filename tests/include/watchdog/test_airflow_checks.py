"""What is made of how Airflow stands."""

from datetime import UTC, date, datetime, timedelta

import pytest

from include.alerts.incidents import Severity
from include.watchdog.airflow_checks import check_broken, check_healed, check_paused, check_stuck, check_untold
from include.watchdog.airflow_facts import DagFacts, ParseFault, RunFacts, TaskFacts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMIT = timedelta(minutes=90)


def ago(minutes):
    return NOW - timedelta(minutes=minutes)


def run(minutes, *, state="running", dag_id="market_close", name="run-1", **more):
    ended_at = ago(minutes) if state in ("failed", "success") else None
    return RunFacts(dag_id, name, state, "2026-11-19", ago(minutes), ended_at, **more)


def failed_task(minutes, name, *, dag_id="market_close"):
    return TaskFacts(dag_id, "run-1", name, "failed", ago(minutes), ago(minutes))


def keys(findings):
    return [each.incident.key for each in findings.sightings]


def test_paused_dags_are_told_one_by_one_and_heal_when_they_go_on():
    dags = [DagFacts("market_close", is_paused=True), DagFacts("retrain_weekly", is_paused=False)]
    found = check_paused(dags, {"dag_paused/retrain_weekly", "dag_paused/gone", "run_stuck/gone"})
    assert keys(found) == ["dag_paused/market_close"]
    assert found.healed == {"dag_paused/retrain_weekly", "dag_paused/gone"}
    assert found.sightings[0].looks == 2


def test_a_broken_file_is_one_incident_with_the_error_s_own_line():
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\nSyntaxError: invalid syntax\n'
    faults = [ParseFault("common/x.py", trace), ParseFault("common/x.py", ""), ParseFault("y.py", "odd")]
    found = check_broken(faults, {"dag_broken/z.py"})
    assert keys(found) == ["dag_broken/x.py", "dag_broken/y.py"]
    assert found.sightings[0].incident.cause == "SyntaxError: invalid syntax; Airflow gives no reason"
    assert found.healed == {"dag_broken/z.py"}


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([run(89)], []),
        ([run(91)], ["run_stuck/market_close"]),
        ([run(300, is_waiting=True)], []),  # for its upload
        ([run(91, state="queued")], ["run_stuck/market_close"]),
        ([run(91, state="queued"), run(5, name="run-2")], []),  # behind another of its DAG
        ([run(91, state="queued"), run(5, dag_id="retrain_weekly")], ["run_stuck/market_close"]),
        ([run(91), run(200, name="run-2")], ["run_stuck/market_close"]),
    ],
)
def test_a_run_is_stuck_when_nothing_moves_and_nothing_says_why(runs, told):
    assert keys(check_stuck(runs, now=NOW, limit=LIMIT, known_keys=())) == told


def test_stuck_runs_of_a_dag_are_one_incident_that_heals_when_none_is_left():
    found = check_stuck([run(91), run(200, name="run-2")], now=NOW, limit=LIMIT, known_keys=())
    incident = found.sightings[0].incident
    assert incident.parts == ("run-1", "run-2")
    assert "200 minutes" in incident.summary
    assert check_stuck([run(1)], now=NOW, limit=LIMIT, known_keys={incident.key}).healed == {incident.key}


def test_a_failure_that_nobody_was_told_of_is_told_once_with_its_tasks():
    runs, tasks = [run(10, state="failed")], [failed_task(12, "score"), failed_task(11, "check_future")]
    found = check_untold(runs, tasks, now=NOW, told={})
    assert keys(found) == ["run_failed/market_close"]
    assert found.sightings[0].incident.parts == ("score", "check_future")
    assert found.sightings[0].incident.affected.session == date(2026, 11, 19)
    assert found.sightings[0].incident.severity is Severity.CRITICAL
    assert keys(check_untold(runs, tasks, now=NOW, told={"market_close": ago(3)})) == []
    assert keys(check_untold(runs, tasks, now=NOW, told={"market_close": ago(11.5)})) == ["run_failed/market_close"]
    assert keys(check_untold(runs, tasks, now=NOW, told={"retrain_weekly": ago(3)})) == ["run_failed/market_close"]


def test_a_run_that_waited_for_an_upload_which_a_person_has_closed_is_no_news():
    closed = {"upload_missing/2026-11-19"}
    runs, waits = [run(10, state="failed")], [failed_task(10, "wait_for_upload")]
    assert keys(check_untold(runs, waits, now=NOW, told={}, closed=closed)) == []
    assert keys(check_untold(runs, waits, now=NOW, told={}, closed={"upload_missing/2026-11-18"}))
    assert keys(check_untold(runs, [*waits, failed_task(9, "score")], now=NOW, told={}, closed=closed))


def test_a_callback_has_a_minute():
    assert keys(check_untold([run(0.9, state="failed")], [failed_task(0.95, "score")], now=NOW, told={})) == []


def test_a_failed_run_without_a_failed_task_is_told():
    found = check_untold([run(5, state="failed"), run(4, state="failed", name="run-2")], [], now=NOW, told={})
    assert found.sightings[0].incident.summary == "market_close failed in 2 runs"


@pytest.mark.parametrize(
    ("newest", "healed"),
    [
        (run(5, state="success"), {"run_failed/market_close"}),
        (run(5, state="failed"), set()),
        (None, set()),
    ],
)
def test_a_failure_heals_with_the_newest_run(newest, healed):
    assert check_healed({"market_close": newest}, told={"market_close": ago(60)}).healed == healed


def test_a_success_from_before_the_failure_heals_nothing():
    told = {"market_close": ago(3)}
    assert check_healed({"market_close": run(5, state="success")}, told=told).healed == frozenset()
    assert check_healed({"market_close": run(1, state="success")}, told=told).healed == {"run_failed/market_close"}


def test_what_is_told_links_to_the_run():
    found = check_untold([run(5, state="failed")], [], now=NOW, told={}, pages="http://airflow:8080/")
    assert found.sightings[0].incident.links.run == "http://airflow:8080/dags/market_close/runs/run-1"
    found = check_stuck([run(91)], now=NOW, limit=LIMIT, known_keys=(), pages=None)
    assert found.sightings[0].incident.links.run is None
