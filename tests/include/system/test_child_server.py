"""Children forked by the resident server: values, errors and deaths come back; a caller's end is its child's end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from include.errors import ClosecastError, InputError
from include.settings import PROJECT_ROOT
from include.system.child import run_child
from include.system.child_server import PRELOADED
from include.system.child_socket import SOCKET, socket_path
from include.system.health import ask


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = socket_path(tmp_path_factory.mktemp("run"))
    process = subprocess.Popen([sys.executable, "-m", "include.system.child_server", str(path)], cwd=PROJECT_ROOT)
    deadline = time.monotonic() + 60
    while ask(f"unix:{path}").problem:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    yield psutil.Process(process.pid), path
    process.kill()
    process.wait()
    path.unlink()


@pytest.fixture
def served(server, monkeypatch):
    monkeypatch.setenv(SOCKET, str(server[1]))
    return server[0]


def test_the_value_comes_back_from_a_fork(served):
    assert run_child("math:hypot", 3.0, 4.0) == 5.0
    assert run_child("os:getppid") == served.pid


def test_the_preloaded_libraries_are_there_and_their_threads_start_anew(served):
    assert run_child("tests.include.system.calls:count_heavy_modules") == len(PRELOADED)
    assert run_child("tests.include.system.calls:sum_with_arrow_threads", 1_000_000) == 1_000_000


def test_our_errors_keep_their_class(served):
    with pytest.raises(InputError, match="session must be a date"):
        run_child("include.tasks:parse_session", "soon")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_child_is_an_error_that_names_the_signal(served, number):
    with pytest.raises(ClosecastError, match=f"killed by {number.name}"):
        run_child("signal:raise_signal", int(number))
    assert run_child("math:hypot", 3.0, 4.0) == 5.0


def test_the_child_sees_the_callers_environment_and_output(served, monkeypatch, capfd):
    monkeypatch.setenv("CLOSECAST_SEED", "11")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    assert run_child("os:getenv", "CLOSECAST_SEED") == "11"
    assert run_child("os:getenv", "AIRFLOW__CORE__FERNET_KEY") is None
    run_child("os:system", "echo heard")
    assert capfd.readouterr().out == "heard\n"


def test_calls_at_once_do_not_wait_for_each_other(served):
    started = time.monotonic()
    threads = [threading.Thread(target=run_child, args=("time:sleep", 1.0)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 3.0


def test_a_child_ends_with_its_caller(served):
    code = "from include.system.child import run_child; run_child('time:sleep', 60)"
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT_ROOT)
    deadline = time.monotonic() + 20
    while not served.children():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    caller.kill()
    caller.wait()
    while served.children():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_a_server_a_fresh_process_does_the_work(monkeypatch, tmp_path: Path):
    monkeypatch.setenv(SOCKET, str(tmp_path / "nobody.sock"))
    assert run_child("os:getppid") == os.getpid()


def test_the_socket_is_its_owners_alone(server):
    assert server[1].parent.stat().st_mode & 0o777 == 0o700
    assert len(str(server[1])) < 107
