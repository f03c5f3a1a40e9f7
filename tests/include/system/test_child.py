"""A call in a child: values and errors come back, a death is an ordinary error."""

import os
import signal
import subprocess
import sys
import time

import pytest

from include.errors import ClosecastError, InputError
from include.settings import PROJECT_ROOT
from include.system.child import run_child


def test_the_value_comes_back():
    assert run_child("math:hypot", 3.0, 4.0) == 5.0


def test_our_errors_keep_their_class_and_words():
    with pytest.raises(InputError, match=r"session must be a date as YYYY-MM-DD\. Received: soon"):
        run_child("include.tasks:parse_session", "soon")


def test_another_error_is_named_with_its_place():
    with pytest.raises(ClosecastError, match=r"JSONDecodeError: .*in json:loads"):
        run_child("json:loads", "{")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_child_is_an_error_that_names_the_signal(number):
    with pytest.raises(ClosecastError, match=f"killed by {number.name}"):
        run_child("signal:raise_signal", int(number))


def test_an_early_exit_is_an_error():
    with pytest.raises(ClosecastError, match="exit code 0"):
        run_child("os:_exit", 0)


def test_airflow_s_keys_stay_with_the_caller(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    assert run_child("os:getenv", "AIRFLOW__CORE__FERNET_KEY") is None
    assert run_child("os:getenv", "PATH") == os.environ["PATH"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_dies_with_its_task(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # The child reads the pipe until its end, which does not come as long as this test holds it.
    code = f"from include.system.child import run_child; run_child('mimetypes:read_mime_types', '{fifo}')"
    task = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT_ROOT)
    with fifo.open("wb", buffering=0) as pipe:  # opens when the child has opened it
        pipe.write(b"here\n")
        task.kill()
        task.wait()
        assert _is_broken_soon(pipe)


def _is_broken_soon(pipe):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            pipe.write(b".\n")
        except BrokenPipeError:
            return True
        time.sleep(0.05)
    return False
