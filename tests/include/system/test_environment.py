"""The environment of the components: complete, and free of another Airflow's settings."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from include.settings import PROJECT_ROOT, Settings
from include.system.credentials import load_mlflow_passwords
from include.system.endpoints import Endpoints
from include.system.environment import component_environment, settings_variables

ENDPOINTS = Endpoints(airflow_port=18080, mlflow_port=15000)


@pytest.fixture
def environment(settings, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://someone/else")
    monkeypatch.setenv("AIRFLOW_HOME", "/someone/else")
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", "slack://kept")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("CLOSECAST_SEED", "999")
    return component_environment(settings, ENDPOINTS)


def test_another_airflow_is_never_touched(environment, settings):
    assert environment["AIRFLOW_HOME"] == str(settings.airflow_home)
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{settings.airflow_home / 'airflow.db'}"
    assert "/someone/else" not in environment.values()
    assert environment["AIRFLOW_CONN_SLACK"] == "slack://kept"
    assert not {"PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_USERNAME"} & environment.keys()


def test_components_find_each_other(environment, settings):
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18080/execution/"
    assert environment["CLOSECAST_MLFLOW_TRACKING_URI"] == "http://127.0.0.1:15000"
    assert environment["CLOSECAST_MLFLOW_USERNAME"] == "closecast"
    assert environment["CLOSECAST_MLFLOW_PASSWORD"] == load_mlflow_passwords(settings)["closecast"].get_secret_value()
    assert environment["CLOSECAST_AIRFLOW_URL"] == "http://127.0.0.1:18080"
    assert "127.0.0.1" in environment["NO_PROXY"].split(",")
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(PROJECT_ROOT / "dags")
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_addresses_that_are_set_stay(settings):
    own = settings.model_copy(update={"mlflow_tracking_uri": "http://mlflow:5000", "airflow_url": "https://desk"})
    environment = component_environment(own, ENDPOINTS)
    assert environment["CLOSECAST_MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "CLOSECAST_MLFLOW_PASSWORD" not in environment  # of another server
    assert environment["CLOSECAST_AIRFLOW_URL"] == "https://desk"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18080"


def test_a_child_reads_the_same_settings(tmp_path):
    given = Settings(
        home=tmp_path,
        calendar="XNYS",
        first_session=date(2018, 6, 1),
        seed=11,
        slack_webhook_url=SecretStr("https://hooks/secret"),
        _env_file=None,
    )
    code = (
        "from include.settings import Settings; s = Settings(_env_file=None); "
        "print(s.model_dump_json(), s.slack_webhook_url.get_secret_value())"
    )
    variables = {**settings_variables(given), "PYTHONPATH": str(PROJECT_ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == f"{given.model_dump_json()} https://hooks/secret"
