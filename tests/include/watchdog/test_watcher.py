"""The watcher as a process of its own: real servers on loopback die and come back, and a Slack hears of it."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from include.alerts.episodes import list_open
from include.alerts.store import open_store
from include.settings import PROJECT_ROOT
from include.system.environment import airflow_database, program_environment
from include.system.health import ask
from include.system.state import heartbeat_file, prepare_home, state_file, write_state
from include.watchdog.looks import Looks, remember_looks
from tests.fakes import FakeSlack, refusing_url
from tests.include.watchdog.scenes import make_state
from tests.include.watchdog.services import Server

FORBIDDEN = ("airflow", "deltalake", "mlflow", "numpy", "pandas", "pyarrow", "tensorflow")


def await_true(condition, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)
    return result


class Watched:
    """A home whose system seems to run, and a watcher that looks ten times a second."""

    def __init__(self, settings, slack, **options):
        self.airflow, self.mlflow = Server(), Server()
        fast = {"watch_look_s": 0.1, "alerts_group_s": 0.0, "slack_webhook_url": slack.url, "disk_free_mb": 0}
        self.settings = type(settings).model_validate(settings.model_dump() | fast | options)
        self.slack = slack
        prepare_home(self.settings)
        with sqlite3.connect(airflow_database(self.settings)) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.close()
        remember_looks(self.settings, Looks())
        self.state = make_state(self.airflow.url, self.mlflow.url)
        self.write(self.state)
        self.process = None

    def start(self):
        argv = [sys.executable, "-m", "include.watchdog.watcher"]
        self.process = subprocess.Popen(
            argv, env=program_environment(self.settings), cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
        )
        await_true(heartbeat_file(self.settings.run_dir).exists)
        return self

    def write(self, state):
        self.state = state
        write_state(self.settings.run_dir, state)

    def change(self, name, **changes):
        """Have the supervisor say something else about a component."""
        components = self.state.components
        self.write(replace(self.state, components=components | {name: replace(components[name], **changes)}))

    def open_keys(self):
        with open_store(self.settings) as connection:
            return [each.key for each in list_open(connection)]

    def told(self):
        return [post["text"] for post in self.slack.taken]

    def await_told(self, count):
        await_true(lambda: len(self.slack.taken) >= count)
        self.look_on()
        assert len(self.told()) == count, self.told()
        return self.told()[-1]

    def look_on(self, seconds=0.6):
        """Let it look a few times more: what is told by then too often, or by mistake, shows."""
        time.sleep(seconds)

    def end_watcher(self):
        self.process.kill()
        self.process.communicate()
        heartbeat_file(self.settings.run_dir).unlink(missing_ok=True)

    def end(self):
        if self.process is not None:
            self.end_watcher()
        for server in (self.airflow, self.mlflow):
            server.die()


@pytest.fixture
def watched(settings):
    begun = []

    def begin(slack, **options):
        begun.append(Watched(settings, slack, **options))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


def test_a_server_that_dies_and_comes_back_is_told_of_twice(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.look_on()
        assert home.told() == []
        home.mlflow.die()
        assert "mlflow" in home.await_told(1)
        home.mlflow.start()
        home.await_told(2)
        assert home.open_keys() == []


def test_a_dead_api_server_is_one_incident_though_four_speak_through_it(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.airflow.die()
        assert "api-server" in home.await_told(1)
        home.airflow.start()
        home.await_told(2)


def test_a_late_heartbeat_is_told_of_and_one_that_flaps_is_not(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.airflow.said = {"scheduler": "unhealthy"}
        assert "scheduler" in home.await_told(1)
        home.airflow.said = {}
        home.await_told(2)


def test_a_component_that_was_started_again_within_moments_is_told_of(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.look_on(0.5)
        home.change("dag-processor", restarts=1, death="ended with exit code -9")
        home.await_told(2)
        assert "dag-processor" in home.told()[0]


def test_a_database_that_is_locked_is_the_only_thing_told(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.look_on(0.3)
        holder = sqlite3.connect(airflow_database(home.settings))
        holder.execute("BEGIN EXCLUSIVE")
        home.airflow.said = dict.fromkeys(("metadatabase", "scheduler", "dag_processor", "triggerer"), "unhealthy")
        assert "database" in home.await_told(1)
        holder.close()
        home.airflow.said = {}
        home.await_told(2)


@pytest.mark.parametrize("changes", [{"stopping": True}, {"ready": False}])
def test_a_start_and_a_stop_are_no_incidents(watched, changes):
    with FakeSlack() as slack:
        home = watched(slack)
        home.write(replace(home.state, **changes))
        home.start()
        home.airflow.die()
        home.mlflow.die()
        state_file(home.settings.run_dir).unlink()
        home.look_on()
        assert home.told() == []


def test_a_supervisor_that_is_gone_without_a_word_is_one_incident(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.airflow.die()
        home.write(replace(home.state, supervisor_created=1.0))
        assert "died" in home.await_told(1)
        home.airflow.start()
        home.write(replace(home.state, supervisor_created=make_state("").supervisor_created))
        home.await_told(2)


def test_what_was_open_before_the_watcher_was_restarted_recovers(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.mlflow.die()
        home.await_told(1)
        home.end_watcher()
        home.mlflow.start()
        home.start()
        home.await_told(2)


def test_old_forecasts_a_full_disk_and_a_silent_watchdog_are_told_of(watched):
    with FakeSlack() as slack:
        long_ago = datetime.now(UTC) - timedelta(days=20)
        home = watched(slack, disk_free_mb=10**9, first_session=(long_ago + timedelta(days=18)).date())
        home.write(replace(home.state, started_at=long_ago.isoformat()))
        home.settings.published.mkdir()
        (home.settings.published / f"{long_ago:%Y-%m-%d}.csv").touch()
        memory = home.settings.run_dir / "watch_system.json"
        memory.unlink()
        home.start()
        wanted = {"disk_full/home", "forecasts_old/published", "watch_failed/watch_system"}
        await_true(lambda: set(home.open_keys()) == wanted)
        (home.settings.published / f"{datetime.now(UTC):%Y-%m-%d}.csv").touch()
        memory.touch()
        await_true(lambda: home.open_keys() == ["disk_full/home"])


@pytest.fixture
def ping():
    server = Server()
    yield server
    server.die()


def test_it_pings_and_a_ping_that_fails_is_no_incident(watched, ping):
    with FakeSlack() as slack:
        home = watched(slack, ping_url=f"{ping.url}/secret-word", ping_every_s=0.1).start()
        await_true(lambda: len(ping.paths) > 3)
        assert set(ping.paths) == {"/secret-word"}
        ping.status = 500
        home.look_on()
        ping.die()
        home.look_on()
        assert home.open_keys() == []
        home.process.send_signal(signal.SIGTERM)
        said = home.process.communicate(timeout=10)[1]
        assert "the ping was answered by 500" in said
        assert "secret-word" not in said


def test_it_does_not_ping_while_slack_hears_nothing(watched, ping):
    with FakeSlack() as slack:
        home = watched(slack, ping_url=ping.url, ping_every_s=0.1, slack_webhook_url=refusing_url())
        home.mlflow.die()
        home.start()
        await_true(lambda: "mlflow_down/mlflow" in home.open_keys())
        home.look_on()
        before = len(ping.paths)
        home.look_on(2.0)
        assert len(ping.paths) == before


def test_one_watcher_a_home_and_it_ends_when_it_is_asked_to(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        argv = [sys.executable, "-m", "include.watchdog.watcher"]
        second = subprocess.run(
            argv, env=program_environment(home.settings), capture_output=True, text=True, check=False, timeout=30
        )
        assert second.returncode == 6
        assert "one watcher runs on a home" in second.stderr
        home.process.send_signal(signal.SIGTERM)
        home.process.communicate(timeout=10)
        assert home.process.returncode == 0


def test_its_heartbeat_is_what_the_supervisor_goes_by(watched, tmp_path):
    with FakeSlack() as slack:
        home = watched(slack).start()
        url = f"file:{heartbeat_file(home.settings.run_dir)}"
        assert ask(url).problem is None
        assert "is not there" in ask(f"file:{tmp_path / 'none'}").problem


def test_it_is_small(watched):
    code = "import json, sys, include.watchdog.watcher; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert set(json.loads(loaded.stdout)).isdisjoint(FORBIDDEN)
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.look_on()
        assert psutil.Process(home.process.pid).memory_info().rss < 120_000_000


def test_a_store_that_is_damaged_ends_no_watch_and_what_it_could_not_take_is_told(watched):
    with FakeSlack() as slack:
        home = watched(slack).start()
        home.look_on()
        store = home.settings.alerts / "alerts.db"
        kept = store.read_bytes()
        store.write_bytes(b"this is no database" * 100)
        home.mlflow.die()
        home.look_on(2.0)
        assert home.process.poll() is None
        for path in home.settings.alerts.glob("alerts.db*"):
            path.unlink()
        store.write_bytes(kept)
        await_true(lambda: any("mlflow" in told for told in home.told()))
