"""Every DAG run for real by `dag.test()`, on a small trained home."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest

from include import tasks
from include.ingest.ingest import ingest_upload
from include.lake.bars import newest_session
from include.lake.catalog import read_operations
from include.lake.predictions import read_newest_run, read_run
from include.lake.reads import read_all
from include.lake.runs import scored_sessions
from include.lake.tables import ADHOC_PREDICTIONS, PROMOTIONS
from include.registry.ledger import read_ledger
from include.registry.promote import promote_version
from include.registry.resolve import resolve_version
from include.scoring.score import score_session
from include.settings import load_settings
from tests.conftest import TrainedHome

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

# Airflow itself runs in this process and warns; our own code runs in the children.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def home(trained_home: TrainedHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainedHome]:
    """The trained home, as children find it: by the environment."""
    monkeypatch.setenv("CLOSECAST_HOME", str(trained_home.settings.home))
    monkeypatch.setenv("CLOSECAST_TRAIN_WINDOWS", "5000")
    monkeypatch.setenv("CLOSECAST_HOLDOUT_SESSIONS", "20")
    monkeypatch.setenv("CLOSECAST_BACKTEST_ORIGINS", "2")
    monkeypatch.setenv("CLOSECAST_MODELS", "drift_naive, ridge")
    load_settings.cache_clear()
    yield trained_home
    load_settings.cache_clear()


def run_dag(dag_bag: DagBag, dag_id: str, conf: dict[str, Any]) -> Any:
    return dag_bag.dags[dag_id].test(run_conf=conf)


def test_market_close_forecasts_a_session(dag_bag: DagBag, home: TrainedHome) -> None:
    session, upload = next(iter(home.uploads.items()))
    home.settings.inbox.mkdir(exist_ok=True)
    shutil.copy(upload, home.settings.inbox)
    run = run_dag(dag_bag, "market_close", {"session": session.isoformat()})
    assert run.state == "success"
    forecasts = read_newest_run(home.settings.lake, session)
    assert forecasts.num_rows == 2 * len(set(forecasts["symbol"].to_pylist()))
    assert forecasts["run_id"][0].as_py().startswith(f"market_close/{run.run_id}/")
    assert (home.settings.published / f"{session}.csv").exists()
    assert list(home.settings.inbox.iterdir()) == []


def test_market_close_without_a_session_fails_at_once(dag_bag: DagBag, home: TrainedHome) -> None:
    before = scored_sessions(home.settings.lake)
    run = run_dag(dag_bag, "market_close", {})
    assert run.state == "failed"
    assert scored_sessions(home.settings.lake) == before


def test_predict_on_demand_keeps_its_forecasts_apart(dag_bag: DagBag, home: TrainedHome) -> None:
    conf = {"session": "2024-03-20", "symbols": ["sim01", "sim02"], "version": 1}
    run = run_dag(dag_bag, "predict_on_demand", conf)
    assert run.state == "success"
    lake = home.settings.lake
    rows = read_newest_run(lake, date(2024, 3, 20), table=ADHOC_PREDICTIONS)
    assert set(rows["symbol"].to_pylist()) == {"sim01", "sim02"}
    assert rows.equals(read_run(lake, date(2024, 3, 20), rows["run_id"][0].as_py(), table=ADHOC_PREDICTIONS))
    assert date(2024, 3, 20) not in scored_sessions(lake)


def test_retrain_weekly_lets_the_gate_decide(dag_bag: DagBag, home: TrainedHome) -> None:
    run = run_dag(dag_bag, "retrain_weekly", {})
    assert run.state == "success"
    serving = resolve_version(home.settings)
    newest = read_all(home.settings.lake, PROMOTIONS).sort_by("at").to_pylist()[-1]
    assert newest["to_version"] == serving.version
    assert newest["who"].startswith("retrain_weekly")
    verdict = json.loads(newest["detail"])
    assert verdict["verdict"]["champion"] == "champion"
    assert verdict["versions"].keys() == {"last_close", "drift_naive", "ridge"}
    assert newest["why"] == verdict["why"]
    assert (home.settings.training / verdict["retrain_id"] / "finished.json").exists()


def test_rollback_model_goes_back_once_and_scores_again(dag_bag: DagBag, home: TrainedHome) -> None:
    lake = home.settings.lake
    serving = resolve_version(home.settings).version
    other = 1 if serving != 1 else 2
    promote_version(home.settings, other, who="tests", why="to roll back from")
    run = run_dag(dag_bag, "rollback_model", {"why": "errors doubled", "rescore": True})
    assert run.state == "success"
    assert resolve_version(home.settings).version == serving
    line = read_ledger(home.settings)[-1]
    assert (line.action, line.from_version, line.to_version, line.why) == ("rollback", other, serving, "errors doubled")
    assert line.request == run.run_id
    again = read_newest_run(lake, newest_session(lake))
    assert run.run_id in again["run_id"][0].as_py().split("/")
    assert set(again["model_version"].to_pylist()) == {serving}
    asked = {"version": None, "why": "errors doubled", "rescore": False}
    assert tasks.roll_back(asked, None, run.run_id) == []  # the retry of a task that died behind its commit
    assert resolve_version(home.settings).version == serving


def test_repair_quarantine_releases_and_scores_what_that_touches(dag_bag: DagBag, home: TrainedHome) -> None:
    lake, session, symbol = home.settings.lake, date(2024, 3, 26), "late99"
    upload = home.settings.home / "disordered.csv"
    upload.write_text(f"symbol,date,open,high,low,close\n{symbol},{session},1.0,2.0,1.5,1.2\n")
    report = ingest_upload(home.settings, upload)
    assert report.quarantined >= 1
    score_session(home.settings, session)
    asked = {"action": "release", "upload": report.sha256, "symbols": [symbol], "why": "seen on the exchange's page"}
    run = run_dag(dag_bag, "repair_quarantine", asked)
    assert run.state == "success"
    newest = read_operations(lake)[-1]
    assert (newest["kind"], newest["of_sha256"], newest["released"]) == ("release", report.sha256, 1)
    assert newest["who"].endswith(run.run_id)
    again = read_newest_run(lake, session)
    assert run.run_id in again["run_id"][0].as_py().split("/")
    assert "quarantined" not in again.filter(pc.field("symbol") == symbol)["status"].to_pylist()
