"""What the watcher looks at where no supervisor runs: a container, or another machine than Airflow's."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from include.system.state import prepare_home, state_file, write_state
from include.watchdog.findings import run_checks
from include.watchdog.looks import Looks, memory_file, remember_looks
from include.watchdog.outlook import Outlook, find_newest_published
from tests.include.watchdog.scenes import make_state
from tests.include.watchdog.services import Server


@pytest.fixture
def airflow():
    server = Server()
    yield server
    server.die()


@pytest.fixture
def elsewhere(settings, airflow):
    own = {"watch_airflow_url": airflow.url, "prediction_url": f"{airflow.url}/ping", "disk_free_mb": 0}
    settings = settings.model_copy(update=own)
    prepare_home(settings)
    return settings


def look(outlook):
    findings, unread = run_checks(outlook.list_checks(frozenset()))
    assert unread == {}
    return {each.incident.key for each in findings.sightings}


def test_an_airflow_elsewhere_is_looked_at_by_its_address(elsewhere, airflow):
    outlook = Outlook(elsewhere, start_grace_s=0)
    assert look(outlook) == set()
    assert set(airflow.paths) == {"/api/v2/monitor/health", "/ping"}
    airflow.said = {"metadatabase": "unhealthy"}
    assert look(outlook) == {"database_down/airflow"}
    airflow.said = {"dag_processor": "unhealthy"}
    assert look(outlook) == {"dag_processor_down/dag-processor"}
    airflow.die()
    assert look(outlook) == {"api_server_down/api-server", "api_down/prediction-api"}


def test_a_calendar_that_cannot_be_asked_is_not_asked_at_every_look(settings, airflow):
    own = {"watch_airflow_url": airflow.url, "first_session": date(2026, 1, 2), "calendar": "NOWHERE"}
    settings = settings.model_copy(update=own)
    prepare_home(settings)
    outlook = Outlook(settings, start_grace_s=0)
    said = [run_checks(outlook.list_checks(frozenset()))[1] for _ in range(2)]
    assert "calendar must be a name" in said[0]["age of forecasts"]
    assert said[1] == {}


def test_a_machine_that_slept_has_the_same_time_as_one_that_was_started(settings):
    prepare_home(settings)
    moments = [datetime(2026, 11, 20, 12, tzinfo=UTC)]
    long_ago = "2026-01-01T00:00:00+00:00"
    write_state(settings.run_dir, make_state("http://127.0.0.1:1", started_at=long_ago))
    remember_looks(settings, Looks())
    looked_at = (moments[0] - timedelta(minutes=3)).timestamp()
    os.utime(memory_file(settings), (looked_at, looked_at))
    outlook = Outlook(settings, clock=lambda: moments[-1])

    def is_silent():
        found = outlook.list_checks(frozenset())["watch_system"]()
        return [each.incident.key for each in found.sightings] == ["watch_failed/watch_system"]

    assert not is_silent()
    moments.append(moments[0] + timedelta(hours=8))  # it slept
    assert not is_silent()
    for minutes in range(0, 12, 3):
        moments.append(moments[1] + timedelta(minutes=minutes))
        assert not is_silent()
    moments += [moments[1] + timedelta(minutes=13)]
    assert is_silent()


def test_it_has_time_to_come_up(elsewhere, airflow):
    airflow.die()
    assert look(Outlook(elsewhere)) == set()


def test_a_home_on_which_nothing_runs_has_a_disk_alone(settings):
    prepare_home(settings)
    outlook = Outlook(settings, start_grace_s=0)
    assert set(outlook.list_checks(frozenset())) == {"disk"}
    assert outlook.describe_stage() == "nothing runs on this home"


def test_the_newest_forecasts_are_known_by_the_names_of_files(settings):
    assert find_newest_published(settings) is None
    settings.published.mkdir(parents=True)
    for name in ("2026-11-19.csv", "2026-11-20.csv", "2026-11-21.parquet", "chart.csv"):
        (settings.published / name).touch()
    assert find_newest_published(settings).isoformat() == "2026-11-20"


@pytest.mark.parametrize("left", ["", '{"supervisor_pid": 1', "[]", "{}"])
def test_a_state_that_cannot_be_read_is_told_and_the_disk_is_looked_at_all_the_same(settings, left):
    prepare_home(settings)
    state_file(settings.run_dir).write_text(left)
    full = settings.model_copy(update={"disk_free_mb": 10**9})
    assert look(Outlook(full)) == {"disk_full/home", "watch_failed/state"}


def test_a_death_that_was_mended_while_the_watcher_was_dead_is_seen_by_the_next_one(settings, airflow):
    prepare_home(settings)
    memory = settings.run_dir / "watcher.json"
    state = make_state(airflow.url)

    def look_anew(instance, restarts, **given):
        mlflow = replace(state.components["mlflow"], url=f"{airflow.url}/health", restarts=restarts)
        components = state.components | {"mlflow": mlflow}
        write_state(settings.run_dir, replace(state, instance=instance, components=components))
        return "mlflow_down/mlflow" in look(Outlook(settings, **given))

    assert not look_anew("one", 2, memory=memory)
    assert not look_anew("one", 3)  # a look by hand neither knows nor notes
    assert look_anew("one", 3, memory=memory)
    assert not look_anew("one", 3, memory=memory)
    assert not look_anew("two", 4, memory=memory)
    memory.write_text("[]")
    assert not look_anew("two", 5, memory=memory)
