"""What failed tasks and runs report: one incident whichever of them could speak, and its end."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dags.common.callbacks import report_late_run, report_run_failure, report_run_success, report_task_failure
from include.alerts.episodes import Episode, list_open
from include.alerts.overview import read_overview
from include.alerts.store import open_store
from include.settings import PROJECT_ROOT, Settings, load_settings

RUN = "scheduled__2018-06-01T00:01:00+00:00"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    monkeypatch.setenv("CLOSECAST_AIRFLOW_URL", "https://airflow.example/")
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()


def make_context(dag_id: str = "market_close", task_id: str | None = "score", **changed: Any) -> Any:
    """Give the fields that callbacks read, as Airflow fills them."""
    context: dict[str, Any] = {
        "dag": SimpleNamespace(dag_id=dag_id),
        "run_id": RUN,
        "partition_key": "2018-06-01",
        "params": {},
    }
    if task_id:
        context["ti"] = SimpleNamespace(dag_id=dag_id, task_id=task_id, map_index=-1, try_number=3)
    return context | changed


def read_open(settings: Settings) -> list[Episode]:
    with open_store(settings) as connection:
        return list_open(connection)


def succeed(settings: Settings, session: str = "2018-06-01") -> None:
    """Publish a session, as a good run has before it is reported."""
    settings.published.mkdir(parents=True, exist_ok=True)
    (settings.published / f"{session}.csv").touch()
    report_run_success(make_context(partition_key=session))


def test_a_task_and_its_run_are_one_incident(home: Settings) -> None:
    report_task_failure(make_context(exception=ValueError("no price")))
    report_run_failure(make_context(task_id="score", reason="task_failure"))
    (found,) = read_open(home)
    assert (found.key, found.kind, found.severity) == ("run_failed/market_close", "run_failed", "critical")
    assert (found.summary, found.cause) == ("market_close failed, session 2018-06-01", "score: ValueError: no price")
    assert (found.parts, found.count) == (("score, session 2018-06-01",), 2)
    run = f"https://airflow.example/dags/market_close/runs/{RUN.replace(':', '%3A').replace('+', '%2B')}"
    assert (found.links.run, found.links.log) == (run, f"{run}/tasks/score?try_number=3")
    assert found.affected.published is False


def test_a_run_whose_task_was_killed_speaks_alone(home: Settings) -> None:
    report_run_failure(make_context(task_id="settle"))
    (found,) = read_open(home)
    assert (found.parts, found.cause) == (("settle, session 2018-06-01",), "")


def test_a_run_of_which_airflow_knows_nothing_more_is_reported_all_the_same(home: Settings) -> None:
    report_run_failure({"dag": SimpleNamespace(dag_id="maintain_lake"), "run_id": "r1", "reason": "task_failure"})
    (found,) = read_open(home)
    assert (found.key, found.summary, found.parts) == ("run_failed/maintain_lake", "maintain_lake failed", ())


def test_the_good_run_ends_it_and_says_which_it_was(home: Settings) -> None:
    report_task_failure(make_context(exception=ValueError("no price")))
    succeed(home, "2018-06-02")
    assert read_open(home) == []
    (over,) = read_overview(home, 0.0, every=True).episodes
    again = "Session 2018-06-01, which failed, has to be run again if it was not."
    assert over.note == f"The run of session 2018-06-02 succeeded. {again}"


def test_the_session_itself_done_again_leaves_nothing_to_do(home: Settings) -> None:
    report_task_failure(make_context(exception=ValueError("no price")))
    succeed(home)
    (over,) = read_overview(home, 0.0, every=True).episodes
    assert over.note == "The run of session 2018-06-01 succeeded."


def test_a_run_that_ends_well_and_has_published_nothing_mends_nothing(home: Settings) -> None:
    """Its tasks were skipped: it was marked as failed while it waited, and only that was cleared."""
    report_task_failure(make_context(exception=ValueError("no price")))
    report_run_success(make_context())
    assert [each.key for each in read_open(home)] == ["run_failed/market_close"]


def test_the_good_run_names_every_other_session_that_failed(home: Settings) -> None:
    for session in ("2018-06-01", "2018-06-02", "2018-06-03"):
        report_task_failure(make_context(partition_key=session, exception=ValueError("no price")))
    succeed(home, "2018-06-03")
    (over,) = read_overview(home, 0.0, every=True).episodes
    again = "Sessions 2018-06-01, 2018-06-02, which failed, have to be run again if they were not."
    assert over.note == f"The run of session 2018-06-03 succeeded. {again}"


def test_a_refused_session_that_another_ones_good_run_ends_is_named(home: Settings) -> None:
    report_task_failure(make_context(task_id="validate", exception=RuntimeError("BlockedError: 3 expectations failed")))
    succeed(home, "2018-06-02")
    (over,) = read_overview(home, 0.0, every=True).episodes
    assert (over.note or "").endswith("Session 2018-06-01, which failed, has to be run again if it was not.")


def test_of_two_runs_that_fail_at_once_a_cause_stays(home: Settings) -> None:
    """Each run is reported after both tasks, and knows less than they."""
    first, second = ({"run_id": f"r-{each}", "partition_key": each} for each in ("2018-06-01", "2018-06-02"))
    for each in (first, second):
        report_task_failure(make_context(**each, exception=ValueError("no price")))
    for each in (second, first):
        report_run_failure(make_context(**each))
    (found,) = read_open(home)
    assert (found.summary, found.cause) == ("market_close failed, session 2018-06-02", "score: ValueError: no price")
    assert found.parts == ("score, session 2018-06-01", "score, session 2018-06-02")


def test_a_session_that_its_gate_refused_is_an_incident_of_its_own_with_its_page(home: Settings) -> None:
    report_task_failure(make_context(task_id="validate", exception=RuntimeError("BlockedError: 3 expectations failed")))
    (found,) = read_open(home)
    assert found.key == "gate_refused_session/market_close"
    assert found.links.data_docs == "https://airflow.example/data-docs/session/2018-06-01"
    report_run_failure(make_context(task_id="validate"))
    succeed(home)
    assert read_open(home) == []


class SpeechlessError(Exception):
    """An exception whose words fail themselves."""

    def __str__(self) -> str:
        raise KeyError("no words")


@pytest.mark.parametrize("session", [["2018-06-01"], 20180601])
def test_an_odd_session_and_an_error_without_words_are_told(home: Settings, session: object) -> None:
    odd = make_context(partition_key=None, params={"session": session}, exception=SpeechlessError())
    report_task_failure(odd)
    (found,) = read_open(home)
    assert found.cause == "score: SpeechlessError: it cannot say what is wrong"
    assert found.affected.session is None


def test_mapped_tasks_and_sessions_that_are_no_dates_are_told_as_they_are(home: Settings) -> None:
    task = SimpleNamespace(dag_id="predict_on_demand", task_id="fit", map_index=3, try_number=1)
    report_task_failure(make_context("predict_on_demand", None, ti=task, partition_key=None, params={"session": "x"}))
    (found,) = read_open(home)
    assert (found.parts, found.affected.session, found.severity) == (("fit[3], session x",), None, "warning")
    assert found.links.log is not None
    assert "/tasks/fit/mapped/3?try_number=1" in found.links.log


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({"partition_key": "2018-06-01"}, ["upload_missing"]),
        ({"partition_key": None, "conf": {"session": "2018-06-01"}}, ["upload_missing"]),
        ({"partition_key": "2018-06-01", "state": "failed"}, []),  # that has been told
        ({"partition_key": None, "conf": None}, []),
    ],
)
def test_a_run_that_is_late_is_reported_by_its_session(
    home: Settings, changed: dict[str, Any], kinds: list[str]
) -> None:
    report_late_run({"dag_run": {"dag_id": "market_close", "dag_run_id": RUN, "state": "running"} | changed})
    assert [each.kind for each in read_open(home)] == kinds


@pytest.mark.parametrize("callback", [report_task_failure, report_run_failure, report_run_success, report_late_run])
def test_a_callback_never_raises(callback: Any, home: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    callback({"run_id": "r1"})
    assert "could not be reported" in caplog.text


def test_what_a_callback_imports_is_light() -> None:
    code = (
        "import sys; import include.alerts.report, include.alerts.deliver, dags.common.callbacks\n"
        "print(sorted({'pandas', 'pyarrow', 'mlflow', 'tensorflow', 'deltalake', 'airflow.models'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert done.stdout.strip() == "[]"
