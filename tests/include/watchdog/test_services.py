"""What is made of what services say of themselves, and of what their supervisor has seen."""

import sqlite3

import pytest

from include.system.health import Answer, Probe
from include.watchdog.database import find_database_problem
from include.watchdog.services import Service, check_services, list_services
from tests.include.watchdog.scenes import BEAT, make_document, make_state

HEALTH, API, MLFLOW = "http://a/health", "http://a/execution", "http://m/health"
SILENT = Answer({}, "does not answer")


def services(**changes):
    found = [
        Service("api-server", Probe(API), status="healthy"),
        Service("scheduler", Probe(HEALTH, "scheduler"), started_at=BEAT - 9, status="healthy"),
        Service("dag-processor", Probe(HEALTH, "dag_processor"), started_at=BEAT - 9, status="healthy"),
        Service("mlflow", Probe(MLFLOW), status="healthy"),
    ]
    return [changes.get(each.name, each) for each in found]


def look(answers=(), *, at=None, before=None, database=None, known=()):
    well = {HEALTH: Answer(make_document(), None), API: Answer({}, None), MLFLOW: Answer({}, None)}
    said = well | dict(answers)
    return check_services(at or services(), said, before=before or {}, database_problem=database, known_keys=set(known))


def told(findings):
    return {each.incident.key: each.looks for each in findings.sightings}


def test_a_system_that_is_well_heals_whatever_was_open():
    known = {"scheduler_down/scheduler", "mlflow_down/mlflow", "api_server_down/api-server", "database_down/airflow"}
    assert look(known=known).healed == known
    assert told(look(known=known)) == {}


def test_a_late_heartbeat_and_a_silent_server_want_several_looks():
    found = look({HEALTH: Answer(make_document(scheduler="unhealthy"), None), MLFLOW: SILENT})
    assert told(found) == {"scheduler_down/scheduler": 3, "mlflow_down/mlflow": 3}
    assert found.sightings[1].incident.cause == "does not answer"


def test_a_death_is_told_at_once_though_it_was_mended():
    died = Service("scheduler", Probe(HEALTH, "scheduler"), BEAT - 9, "healthy", "ended with exit code -9", restarts=2)
    found = look(at=services(scheduler=died), before={"scheduler": 1})
    assert told(found) == {"scheduler_down/scheduler": 1}
    assert found.sightings[0].incident.cause == "It ended with exit code -9, and is started again."
    assert told(look(at=services(scheduler=died), before={"scheduler": 2})) == {}
    assert told(look(at=services(scheduler=died))) == {}


@pytest.mark.parametrize("status", ["restarting", "gave_up"])
def test_a_component_that_is_dead_now_is_told_at_once(status):
    dead = Service("mlflow", Probe(MLFLOW), status=status, death="ended with exit code 1")
    assert told(look({MLFLOW: SILENT}, at=services(mlflow=dead))) == {"mlflow_down/mlflow": 1}


def test_a_dead_api_server_says_nothing_about_those_who_speak_through_it():
    found = look({HEALTH: SILENT, API: SILENT}, known={"scheduler_down/scheduler", "mlflow_down/mlflow"})
    assert told(found) == {"api_server_down/api-server": 3}
    assert found.healed == {"mlflow_down/mlflow"}


@pytest.mark.parametrize("database", [None, "database is locked"])
def test_a_dead_database_says_nothing_about_heartbeats(database):
    document = make_document(metadatabase="unhealthy", scheduler="unhealthy", dag_processor="unhealthy")
    found = look({HEALTH: Answer(document, None)}, database=database, known={"scheduler_down/scheduler"})
    assert told(found) == {"database_down/airflow": 3}
    assert found.healed == set()


def test_what_is_looked_at_is_what_the_supervisor_runs(settings):
    own = settings.model_copy(update={"prediction_url": "http://127.0.0.1:1/ping", "mlflow_tracking_uri": "http://m"})
    names = [each.name for each in list_services(own, make_state("http://127.0.0.1:1"))]
    assert names == ["api-server", "scheduler", "dag-processor", "triggerer", "mlflow", "prediction-api"]


def test_or_what_settings_name_where_there_is_no_supervisor(settings):
    assert list_services(settings, None) == []
    own = settings.model_copy(
        update={"watch_airflow_url": "http://api-server:8080/", "mlflow_tracking_uri": "https://mlflow/"}
    )
    probes = {each.name: each.probe for each in list_services(own, None)}
    assert probes["dag-processor"] == Probe("http://api-server:8080/api/v2/monitor/health", "dag_processor")
    assert probes["api-server"].section is None
    assert probes["mlflow"].url == "https://mlflow/health"


def test_a_local_mlflow_store_is_no_service(settings):
    own = settings.model_copy(update={"mlflow_tracking_uri": "sqlite:///x.db"})
    assert list_services(own, None) == []


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "airflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.close()
    return path


def test_a_database_that_can_be_written_is_well(database):
    assert find_database_problem(database) is None


def test_a_database_that_is_gone_empty_locked_or_no_database_is_not(database, tmp_path):
    assert "unable to open" in find_database_problem(tmp_path / "gone.db")
    assert not (tmp_path / "gone.db").exists()
    (tmp_path / "text.db").write_text("this is no database, but long enough to be looked at" * 3)
    assert "not a database" in find_database_problem(tmp_path / "text.db")
    (tmp_path / "empty.db").touch()
    assert "no such table" in find_database_problem(tmp_path / "empty.db")
    holder = sqlite3.connect(database)
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked" in find_database_problem(database)
    holder.close()
    assert find_database_problem(database) is None
