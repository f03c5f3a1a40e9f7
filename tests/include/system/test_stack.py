"""The real seven, once: healthy, private, on the ports that were asked for, restarted, and gone after kill -9."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from include.errors import UnavailableError
from include.home import with_running_registry
from include.registry.open import open_registry
from include.system.control import start_detached, stop
from include.system.credentials import load_login, load_mlflow_passwords, load_secrets
from include.system.endpoints import choose_endpoints
from include.system.state import check_health, load_state, read_state
from include.system.warden import find_marked, kill_marked

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def await_true(condition, timeout_s):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.1)


@pytest.fixture
def running(settings, tmp_path):
    ports = choose_endpoints(settings)
    fixed = settings.model_copy(update={"airflow_port": ports.airflow_port, "mlflow_port": ports.mlflow_port})
    (tmp_path / "dags").mkdir()
    events = []
    yield fixed, start_detached(fixed, on_event=events.append, dags_folder=tmp_path / "dags"), events
    left = load_state(fixed.run_dir)
    stop(fixed)
    if left:
        kill_marked(left.instance)


def test_the_real_seven(running):
    settings, state, events = running
    wanted = {"mlflow", "child-server", "api-server", "scheduler", "dag-processor", "triggerer", "watcher"}
    assert set(state.components) == wanted
    assert set(check_health(state).values()) == {True}
    assert (events[-1].component, events[-1].status) == ("system", "ready")
    assert state.airflow_url == f"http://127.0.0.1:{settings.airflow_port}"
    assert state.mlflow_url == f"http://127.0.0.1:{settings.mlflow_port}"
    with pytest.raises(UnavailableError, match=state.airflow_url):
        start_detached(settings, on_event=events.append)
    _check_that_mlflow_asks_who_it_is(settings)
    _check_that_nothing_tells_the_secrets(settings)
    _check_restart(settings, state)
    _check_that_nothing_is_left(settings, state)


def test_a_start_that_fails_names_the_component_and_leaves_nothing(settings, tmp_path):
    (settings.airflow_home / "airflow.db").mkdir(parents=True)
    with pytest.raises(UnavailableError, match=r"(?s)migrate must start.*unable to open database.*migrate\.log"):
        start_detached(settings, on_event=lambda event: None, dags_folder=tmp_path)
    assert read_state(settings) is None
    assert not [each for each in psutil.process_iter() if _mentions(each, settings.home)]


def _check_that_mlflow_asks_who_it_is(settings):
    known = with_running_registry(settings)
    assert open_registry(known).look().versions == {}
    with pytest.raises(UnavailableError, match="must know the user"):
        open_registry(known.model_copy(update={"mlflow_username": None})).look()


def _check_that_nothing_tells_the_secrets(settings):
    words = [each.get_secret_value() for each in load_mlflow_passwords(settings).values()]
    secrets = [load_login(settings).password, *words, *vars(load_secrets(settings)).values()]
    private = {settings.run_dir / f"{name}.json" for name in ("passwords", "mlflow_passwords", "secrets")}
    read_by_all = [path for path in settings.home.rglob("*") if path.is_file() and path not in private]
    assert len(read_by_all) > 10
    assert not [path for path in read_by_all if any(each.encode() in path.read_bytes() for each in secrets)]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert json.loads((settings.run_dir / "passwords.json").read_text()) == {"admin": load_login(settings).password}


def _check_restart(settings, state):
    """A scheduler that is killed comes back, and its forked workers do not stay beside the new ones."""
    before = {each.pid for each in find_marked(state.instance, "scheduler")}
    assert len(before) > 1, "the workers' marker can't be read: SPT_NOENV is not set"
    psutil.Process(state.components["scheduler"].pid).kill()
    await_true(lambda: load_state(settings.run_dir).components["scheduler"].restarts == 1, timeout_s=10)
    await_true(lambda: set(check_health(read_state(settings)).values()) == {True}, timeout_s=60)
    assert not before & {each.pid for each in find_marked(state.instance, "scheduler")}


def _check_that_nothing_is_left(settings, state):
    os.kill(state.supervisor_pid, 9)
    await_true(lambda: not find_marked(state.instance), timeout_s=10)
    assert read_state(settings) is None
    named = [each for each in psutil.process_iter() if _mentions(each, settings.home)]
    assert not named, "a process lost its marker but runs on"


def _mentions(process: psutil.Process, home: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and str(home) in " ".join(process.cmdline())
    except psutil.Error:
        return False
