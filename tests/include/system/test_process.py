"""One component that dies, is given up, and is tried again."""

import sys
import time

import pytest

from include.system import process
from include.system.components import Component
from include.system.health import Answer, Probe
from include.system.process import GAVE_UP, HEALTHY, Runner, Surroundings

WELL = Answer({}, None)


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr(process, "GIVEN_UP_FOR_S", 0.5)
    code = f"import os, sys, time; os.path.exists({str(tmp_path / 'mended')!r}) or sys.exit(3); time.sleep(60)"
    component = Component("stand-in", (sys.executable, "-S", "-c", code), Probe("http://127.0.0.1:1/"))
    made = Runner(component, Surroundings("tests-of-runner", {}, tmp_path, tmp_path))
    yield made
    made.kill()


def step_until(runner, status, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while runner.status != status:
        assert time.monotonic() < deadline, runner.status
        runner.step(WELL if status == HEALTHY else None)
        time.sleep(0.02)


def test_what_was_given_up_is_tried_again_and_says_how_it_died(runner, tmp_path):
    step_until(runner, GAVE_UP)
    assert runner.restarts == 4
    assert runner.describe().death == "ended with exit code 3"
    (tmp_path / "mended").touch()
    runner.step(None)
    assert runner.status == GAVE_UP
    step_until(runner, HEALTHY)
    assert runner.restarts == 5
