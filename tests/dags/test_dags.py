"""What every DAG must be, checked where Airflow parses it."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction

from dags.common.callbacks import report_run_failure, report_run_success, report_task_failure
from include.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

EDGES = {
    "market_close": {
        "wait_for_upload": {"ingest"},
        "ingest": {"validate"},
        "validate": {"check_future", "score"},
        "score": {"publish"},
        "check_future": {"publish"},
        "publish": {"settle"},
        "settle": {"watch"},
        "watch": set(),
    },
    "watch_forecasts": {
        "watch": {"report", "wants_retrain"},
        "report": set(),
        "wants_retrain": {"retrain"},
        "retrain": set(),
    },
    "maintain_lake": {"maintain": set()},
    "predict_on_demand": {"predict": set()},
    "repair_quarantine": {"bring_back": {"score_again"}, "score_again": set()},
    "watch_system": {"look": set()},
    "rollback_model": {"roll_back": {"score_again"}, "score_again": set()},
    "retrain_weekly": {
        "snapshot": {"fit", "backtest"},
        "fit": {"backtest"},
        "backtest": {"register"},
        "register": {"gate"},
        "gate": {"promote"},
        "promote": set(),
    },
}
SECTIONS = ("**What**", "**When**", "**Reads**", "**Writes**", "**On failure**", "**Settings**")
HEAVY = ("tensorflow", "keras", "sklearn", "pandas", "mlflow", "great_expectations", "deltalake", "pyarrow")


def test_every_dag_parses(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == set(EDGES)


@pytest.mark.parametrize("dag_id", EDGES)
def test_tasks_and_edges_are_these(dag_bag: DagBag, dag_id: str) -> None:
    tasks = dag_bag.dags[dag_id].task_dict
    assert {name: task.downstream_task_ids for name, task in tasks.items()} == EDGES[dag_id]


@pytest.mark.parametrize("dag_id", EDGES)
def test_every_dag_tells_what_it_is(dag_bag: DagBag, dag_id: str) -> None:
    doc = dag_bag.dags[dag_id].doc_md or ""
    assert [section for section in SECTIONS if section not in doc] == []


@pytest.mark.parametrize("dag_id", EDGES)
def test_every_task_is_tried_again_bounded_and_told_of(dag_bag: DagBag, dag_id: str) -> None:
    for task in dag_bag.dags[dag_id].tasks:
        assert task.retries >= 1
        assert task.execution_timeout == timedelta(hours=1)
        assert task.on_failure_callback in (report_task_failure, [report_task_failure])
    dag = dag_bag.dags[dag_id]
    assert dag.on_failure_callback in (report_run_failure, [report_run_failure])
    assert dag.on_success_callback in (report_run_success, [report_run_success])


def test_the_task_that_validates_has_a_button_to_its_page(dag_bag: DagBag) -> None:
    links = {
        task.task_id: [link.name for link in task.operator_extra_links] for task in dag_bag.dags["market_close"].tasks
    }
    assert [name for name, found in links.items() if "Data Docs" in found] == ["validate"]
    report = dag_bag.dags["watch_forecasts"].task_dict["report"]
    assert [link.name for link in report.operator_extra_links] == ["Session report"]


def test_the_close_starts_the_watch_and_a_breach_the_retrain(dag_bag: DagBag) -> None:
    started = {
        task.task_id: task.trigger_dag_id
        for name in ("market_close", "watch_forecasts")
        for task in dag_bag.dags[name].tasks
        if hasattr(task, "trigger_dag_id")
    }
    assert started == {"watch": "watch_forecasts", "retrain": "retrain_weekly"}


@pytest.mark.parametrize("dag_id", ["retrain_weekly", "maintain_lake"])
def test_a_new_installation_does_not_begin_with_what_has_been(dag_bag: DagBag, dag_id: str) -> None:
    now = pendulum.now("UTC")
    dag = dag_bag.dags[dag_id]
    first = dag.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(dag.start_date, None, catchup=dag.catchup)
    )
    assert first.run_after > now
    assert (first.run_after.day_of_week == pendulum.SUNDAY) if dag_id == "retrain_weekly" else first.run_after.day == 1


def list_task_functions() -> list[ast.FunctionDef]:
    trees = [ast.parse(path.read_text()) for path in sorted((PROJECT_ROOT / "dags").rglob("*.py"))]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    decorated = [each for each in functions if each.decorator_list]
    return [each for each in decorated if "task" in ast.unparse(each.decorator_list[0]).split("(")[0]]


def test_every_dag_works_through_the_run_child_that_tells_bad_input() -> None:
    texts = {path: path.read_text() for path in (PROJECT_ROOT / "dags").rglob("*.py") if path.name != "child.py"}
    assert [path.name for path, text in texts.items() if "include.system.child" in text] == []


@pytest.mark.parametrize("function", list_task_functions(), ids=lambda function: function.name)
def test_every_task_body_is_one_call_in_a_child_process(function: ast.FunctionDef) -> None:
    _docstring, body = function.body
    assert isinstance(body, ast.Return)
    assert isinstance(body.value, ast.Call)
    assert ast.unparse(body.value.func) == "run_child"
    target = body.value.args[0]
    assert isinstance(target, ast.Constant)
    module, _, name = target.value.partition(":")
    wanted = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert len(body.value.args) - 1 == len(wanted)


def test_parsing_loads_nothing_heavy() -> None:
    code = (
        "import sys, airflow.sdk\n"
        f"sys.path[:0] = [{str(PROJECT_ROOT / 'dags')!r}, {str(PROJECT_ROOT / 'plugins')!r}]\n"
        "import maintain_lake, market_close, predict_on_demand, repair_quarantine, retrain_weekly, rollback_model\n"
        "import upload_sensor, watch_forecasts\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip().splitlines()[-1] == "[]"
