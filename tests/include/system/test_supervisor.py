"""The supervisor over cheap stand-ins: restarts, giving up, stopping, and what is left after kill -9."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from include.errors import UnavailableError
from include.settings import PROJECT_ROOT
from include.system.control import stop
from include.system.endpoints import choose_endpoints
from include.system.state import check_health, load_state, read_state
from include.system.supervisor import hold_lock
from include.system.warden import find_marked, kill_marked

pytestmark = pytest.mark.stack
DRIVE = Path(__file__).with_name("drive.py")


def await_true(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)
    return result


class Driven:
    """A supervisor in a process of its own."""

    def __init__(self, settings, setup="0"):
        self.settings = settings
        ports = choose_endpoints(settings)
        argv = [sys.executable, DRIVE, settings.home, setup, ports.airflow_port, ports.mlflow_port]
        self.process = subprocess.Popen(
            list(map(str, argv)),
            cwd=PROJECT_ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT_ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ready(self):
        return await_true(lambda: (state := read_state(self.settings)) and state.ready and state)

    def component(self, name):
        return load_state(self.settings.run_dir).components[name]

    def end(self):
        left = load_state(self.settings.run_dir)
        self.process.kill()
        self.process.communicate()
        if left:
            kill_marked(left.instance)


@pytest.fixture
def drive(settings):
    started = []

    def start(**options):
        started.append(Driven(settings, **options))
        return started[-1]

    yield start
    for driven in started:
        driven.end()


def test_a_killed_component_is_started_again_and_leaves_no_grandchild(drive):
    driven = drive()
    state = driven.ready()
    before = driven.component("stand-in-0")
    grandchildren = [each for each in find_marked(state.instance, "stand-in-0") if each.pid != before.pid]
    psutil.Process(before.pid).kill()
    await_true(lambda: driven.component("stand-in-0").restarts == 1)
    await_true(lambda: driven.component("stand-in-0").status == "healthy")
    assert driven.component("stand-in-0").pid != before.pid
    assert len(grandchildren) == 1
    assert grandchildren[0].pid not in [each.pid for each in find_marked(state.instance)]
    assert driven.component("stand-in-1").restarts == 0
    assert check_health(load_state(driven.settings.run_dir)) == {"stand-in-0": True, "stand-in-1": True}


def test_a_state_that_cannot_be_written_ends_no_system(drive):
    driven = drive()
    before = driven.ready().components["stand-in-0"]
    blocker = driven.settings.run_dir / "state.json.part"
    blocker.mkdir()  # what is written there fails, as on a full disk
    psutil.Process(before.pid).kill()
    await_true(lambda: not psutil.pid_exists(before.pid))
    time.sleep(2.0)
    assert driven.process.poll() is None
    blocker.rmdir()
    await_true(lambda: driven.component("stand-in-0").restarts == 1)
    await_true(lambda: driven.component("stand-in-0").status == "healthy")


def test_nothing_is_left_ten_seconds_after_kill_9_of_the_supervisor(drive):
    driven = drive()
    state = driven.ready()
    assert len(find_marked(state.instance)) == 4
    driven.process.send_signal(signal.SIGKILL)
    driven.process.wait()
    await_true(lambda: not find_marked(state.instance), timeout_s=10)
    assert read_state(driven.settings) is None


def find_wardens(state):
    """Process ids of the wardens that live."""
    children = psutil.Process(state.supervisor_pid).children()
    return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE and is_warden(child)]


def is_warden(process):
    try:
        return any(part.endswith("warden.py") for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_killed_warden_is_replaced(drive):
    driven = drive()
    state = driven.ready()
    (warden,) = find_wardens(state)
    psutil.Process(warden).kill()
    await_true(lambda: find_wardens(state) not in ([warden], []))
    assert len(find_wardens(state)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all(drive, number):
    driven = drive()
    state = driven.ready()
    driven.process.send_signal(number)
    assert driven.process.wait(timeout=15) == 0
    assert not find_marked(state.instance)
    assert load_state(driven.settings.run_dir) is None


def test_stop_from_elsewhere_ends_all_and_says_whether_there_was_something(drive):
    driven = drive()
    state = driven.ready()
    assert stop(driven.settings) is True
    assert not find_marked(state.instance)
    assert stop(driven.settings) is False


def test_a_second_one_on_the_same_home_is_refused_with_the_address_of_the_first(drive):
    driven = drive()
    state = driven.ready()
    with (
        pytest.raises(UnavailableError, match=f"runs already at {state.airflow_url}"),
        hold_lock(driven.settings.run_dir),
    ):
        pass


def test_leftovers_of_a_killed_system_are_ended_by_the_next_start(drive, settings):
    driven = drive()
    state = driven.ready()
    for process in [*psutil.Process(state.supervisor_pid).children(), psutil.Process(state.supervisor_pid)]:
        if "stand_in" not in " ".join(process.cmdline()):
            process.kill()  # the warden and the supervisor
    driven.process.wait()
    assert len(find_marked(state.instance)) == 4
    drive().ready()
    assert not find_marked(state.instance)


@pytest.mark.slow
def test_one_that_dies_five_times_in_a_minute_is_given_up_and_the_others_go_on(drive):
    driven = drive()
    driven.ready()
    (driven.settings.home / "broken-0").touch()
    psutil.Process(driven.component("stand-in-0").pid).kill()
    await_true(lambda: driven.component("stand-in-0").status == "gave_up", timeout_s=30)
    given_up = driven.component("stand-in-0")
    assert given_up.restarts == 4
    assert "died 5 times" in given_up.detail
    assert given_up.log in given_up.detail
    assert driven.component("stand-in-1").status == "healthy"
    assert "the stand-in is broken" in Path(given_up.log).read_text()


def test_a_setup_that_fails_ends_the_start_with_its_last_words(drive):
    driven = drive(setup="7")
    said, _ = driven.process.communicate(timeout=20)
    assert driven.process.returncode == 1
    assert "setup must start, but ended with exit code 7" in said
    assert "set up\n" in said
    assert str(driven.settings.run_dir / "logs" / "setup.log") in said
