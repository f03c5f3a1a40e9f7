"""`closecast watch` as a person meets it, and the process that it becomes."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest
import typer
from typer.testing import CliRunner

from include.commands.watch import watch
from include.settings import PROJECT_ROOT, load_settings
from include.system.environment import program_environment
from include.system.state import heartbeat_file, prepare_home, state_file
from tests.include.watchdog.services import Server


@pytest.fixture
def server():
    started = Server()
    yield started
    started.die()


@pytest.fixture
def elsewhere(settings, server, monkeypatch):
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    monkeypatch.setenv("CLOSECAST_WATCH_AIRFLOW_URL", server.url)
    monkeypatch.setenv("CLOSECAST_DISK_FREE_MB", "0")
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()


def run(*arguments):
    app = typer.Typer()
    app.command()(watch)
    return CliRunner().invoke(app, list(arguments))


def test_one_look_says_what_is_seen_and_ends_with_6_where_something_is_wrong(elsewhere, server):
    well = run("--once", "--json")
    assert well.exit_code == 0, well.output
    assert set(json.loads(well.output).values()) == {"well"}
    server.said = {"scheduler": "unhealthy"}
    ill = run("--once")
    assert ill.exit_code == 6
    assert "scheduler is down" in ill.output


def test_a_state_that_cannot_be_read_is_seen_and_hides_no_disk(elsewhere):
    prepare_home(elsewhere)
    state_file(elsewhere.run_dir).write_text("{")
    seen = run("--once", "--json")
    assert seen.exit_code == 6, seen.output
    found = json.loads(seen.output)
    assert "with nothing running, remove the file" in found["system"]
    assert found["disk"] == "well"


def test_it_becomes_the_small_program_and_ends_when_it_is_asked_to(elsewhere):
    prepare_home(elsewhere)
    argv = [sys.executable, "-m", "include.cli", "watch"]
    process = subprocess.Popen(argv, env=program_environment(elsewhere), cwd=PROJECT_ROOT)
    try:
        deadline = time.monotonic() + 60
        while not heartbeat_file(elsewhere.run_dir).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert psutil.Process(process.pid).cmdline()[1:] == ["-m", "include.watchdog.watcher"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
