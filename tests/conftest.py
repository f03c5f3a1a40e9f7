"""Fixtures shared by all tests: settings in a temporary home, a small trained home, the real data where it is."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import hypothesis
import pytest

from include.settings import PROJECT_ROOT, Settings
from tests.object_store import KEYS, run_s3_server

OWN_VARIABLES = {"CLOSECAST_SHARED_DATA"}
AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="closecast-airflow-")


def pytest_configure() -> None:
    """Give Airflow, before anything imports it, a home of its own and the project's plugins."""
    # Hypothesis' own time limit tells of the machine's load, not of the code.
    hypothesis.settings.register_profile("closecast", deadline=None)
    hypothesis.settings.load_profile("closecast")
    os.environ |= {
        "AIRFLOW_HOME": AIRFLOW_HOME.name,
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME.name}/airflow.db",
    }
    for name in [name for name in os.environ if name.startswith("CLOSECAST_") and name not in OWN_VARIABLES]:
        del os.environ[name]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose state is this test's own folder."""
    return Settings(home=tmp_path / "home", _env_file=None)


@dataclass(frozen=True)
class TrainedHome:
    """A home with a history, models fitted on it, and uploads that have not arrived."""

    settings: Settings
    uploads: dict[date, Path]


def make_trained_home(home: Path) -> TrainedHome:
    """Eighty symbols, ninety sessions, the last four not arrived; ridge (Production) and last_close registered."""
    from include.ingest.ingest import ingest_upload
    from include.market.exchange import simulate_exchange, write_exchange
    from include.registry.promote import promote_version
    from include.training.train import train

    exchange = simulate_exchange(symbols=80, sessions=90, calendar="24/7", seed=5, last_session=date(2024, 3, 30))
    history, *uploads = write_exchange(exchange, home / "exchange", live_sessions=4)
    settings = Settings(home=home, train_windows=5000, holdout_sessions=20, backtest_origins=2, _env_file=None)
    ingest_upload(settings, history)
    train(settings, who="tests", names=["last_close", "ridge"], promote=False)
    promote_version(settings, 2, who="tests", why="fixture")
    return TrainedHome(settings, {date.fromisoformat(path.stem): path for path in uploads})


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> TrainedHome:
    """A home that is trained once for all tests."""
    return make_trained_home(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data, or a visible skip."""
    folder = Path(os.environ.get("CLOSECAST_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real market data not found at {folder}: set CLOSECAST_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server."""
    with run_s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The s3:// address of an empty bucket, and the environment that leads to it."""
    from pyarrow.fs import S3FileSystem

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex}"
    S3FileSystem(endpoint_override=s3_server, allow_bucket_creation=True).create_dir(name)
    return f"s3://{name}"
