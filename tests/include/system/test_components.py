"""The components, and when the migration is left out."""

import sqlite3
from contextlib import closing

import pytest

from include.system.components import build_components, is_migrated, mark_migrated, plan_setup
from include.system.endpoints import Endpoints
from include.system.state import prepare_home

ENDPOINTS = Endpoints(airflow_port=18080, mlflow_port=15000)


@pytest.fixture
def migrated(settings):
    prepare_home(settings)
    set_revision(settings, "abc")
    mark_migrated(settings)
    return settings


def set_revision(settings, revision):
    with closing(sqlite3.connect(settings.airflow_home / "airflow.db")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        connection.execute("DELETE FROM alembic_version")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.commit()


def test_the_seven(settings):
    names = [component.name for component in build_components(settings, ENDPOINTS)]
    assert names == ["mlflow", "child-server", "api-server", "scheduler", "dag-processor", "triggerer", "watcher"]


def test_no_mlflow_server_where_the_settings_name_one(settings):
    own = settings.model_copy(update={"mlflow_tracking_uri": "http://mlflow:5000"})
    assert "mlflow" not in [component.name for component in build_components(own, ENDPOINTS)]


def test_a_new_home_is_migrated_and_a_migrated_one_is_not(settings, migrated):
    assert plan_setup(migrated) is None
    assert plan_setup(settings.model_copy(update={"home": settings.home / "other"})).argv[-2:] == ("db", "migrate")


def test_a_database_at_another_revision_is_migrated(migrated):
    set_revision(migrated, "older")
    assert not is_migrated(migrated)


def test_a_lost_database_is_migrated(migrated):
    (migrated.airflow_home / "airflow.db").unlink()
    assert not is_migrated(migrated)


def test_another_airflow_version_migrates(migrated):
    marker = migrated.airflow_home / "migrated.json"
    marker.write_text(marker.read_text().replace('"airflow": "', '"airflow": "0'))
    assert not is_migrated(migrated)
