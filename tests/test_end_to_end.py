"""The running system, by its command line: uploads become forecasts, deaths become messages, nothing is doubled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from include.files import hold_partial
from include.lake.predictions import read_newest_run
from include.settings import Settings
from include.system.airflow_api import AirflowApi, connect_airflow
from include.system.state import read_state
from tests.conftest import make_trained_home
from tests.fakes import FakeSlack

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(420)]


DEADLINE_S = 90
"""From a run's start until its forecasts must be out."""


@dataclass
class Running:
    """A running system, its Slack, and the uploads that have not arrived."""

    settings: Settings
    api: AirflowApi
    slack: FakeSlack
    uploads: list[Path]

    def land(self, upload: Path) -> date:
        """Place an upload as a client does, whole at once."""
        with hold_partial(self.settings.inbox / upload.name) as partial:
            shutil.copyfile(upload, partial)
        return date.fromisoformat(upload.stem)

    def told_of(self, words: str) -> list[dict[str, Any]]:
        """The messages that Slack was sent whose line has some words."""
        return [post for post in self.slack.posts if words in post["text"]]

    def await_told(self, words: str, *, timeout_s: float = 120.0) -> None:
        """Wait until Slack was sent a line with some words."""
        try:
            wait_for(lambda: bool(self.told_of(words)), f"Slack to be told: {words}", timeout_s=timeout_s)
        except AssertionError as error:
            error.add_note(f"it was told: {[post['text'] for post in self.slack.posts]}")
            raise

    def run_of(self, session: date) -> dict[str, Any] | None:
        """The scheduler's run of a session."""
        runs = self.api.runs_of("market_close", session.isoformat())
        return runs[0] if runs else None

    def await_state(self, session: date, state: str) -> dict[str, Any]:
        """Wait until a session's run is in a state."""
        wait_for(lambda: (self.run_of(session) or {}).get("state") == state, f"{session} to be {state}")
        run = self.run_of(session)
        assert run is not None
        return run


def wait_for(holds: Callable[[], bool], what: str, *, timeout_s: float = 120.0, poll_s: float = 0.3) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(poll_s)


def closecast(settings: Settings, *arguments: str, **environment: str) -> dict[str, Any]:
    """Call the command line in a process of its own; return its JSON answer."""
    command = [sys.executable, "-m", "include.cli", *arguments, "--json"]
    done = subprocess.run(
        command,
        env={**os.environ, "CLOSECAST_HOME": str(settings.home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A trained home of its own, with everything up as `closecast up --detach` leaves it."""
    trained_home = make_trained_home(tmp_path_factory.mktemp("running"))
    settings = trained_home.settings
    with FakeSlack() as slack:
        days = sorted(trained_home.uploads)
        closecast(
            settings,
            "up",
            "--detach",
            CLOSECAST_FIRST_SESSION=days[0].isoformat(),
            CLOSECAST_LAST_SESSION=days[-1].isoformat(),
            CLOSECAST_SLACK_WEBHOOK_URL=slack.url,
            CLOSECAST_FORECAST_DEADLINE_S=str(DEADLINE_S),
        )
        try:
            state = read_state(settings)
            assert state is not None
            api = connect_airflow(settings, state)
            yield Running(settings, api, slack, [trained_home.uploads[day] for day in days])
        finally:
            closecast(settings, "down")
    assert read_state(settings) is None


def find_children(settings: Settings, target: str) -> list[psutil.Process]:
    """Processes that do a task's work now; a task's work lasts less than a second."""
    state = read_state(settings)
    assert state is not None
    found = []
    for process in psutil.Process(state.components["child-server"].pid).children():
        with contextlib.suppress(psutil.Error):
            if f"include.tasks:{target}" in " ".join(process.cmdline()):  # empty once it has ended
                found.append(process)
    return found


def assert_forecast_once(running: Running, session: date) -> None:
    rows = read_newest_run(running.settings.lake, session).select(["symbol", "target"]).to_pylist()
    assert len(rows) > 100
    assert len({(row["symbol"], row["target"]) for row in rows}) == len(rows)


def test_an_upload_becomes_forecasts(running: Running) -> None:
    session = running.land(running.uploads[0])
    running.await_state(session, "success")
    assert_forecast_once(running, session)
    assert (running.settings.published / f"{session}.csv").exists()
    status = closecast(running.settings, "status")
    assert status["newest_forecast"] == session.isoformat()
    assert set(status["components"].values()) == {True}


def test_airflows_own_command_line_knows_the_home(running: Running) -> None:
    command = [sys.executable, "-m", "include.cli", "airflow", "dags", "list", "--output", "json"]
    environment = {**os.environ, "CLOSECAST_HOME": str(running.settings.home)}
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = json.loads(listed.splitlines()[-1])  # Airflow's warnings stand above it
    assert {"market_close", "watch_system"} <= {dag["dag_id"] for dag in found}


def test_a_killed_child_fails_its_task_slack_is_told_once_and_the_run_is_taken_up_again(running: Running) -> None:
    stopped = threading.Event()

    def kill_every_child() -> None:
        while not stopped.is_set():
            for process in find_children(running.settings, "ingest"):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.01)

    killer = threading.Thread(target=kill_every_child)
    killer.start()
    try:
        session = running.land(running.uploads[1])
        run = running.await_state(session, "failed")
    finally:
        stopped.set()
        killer.join()
    running.await_told("market_close failed")
    time.sleep(5)  # what would be told twice would be told by now
    (message,) = running.told_of("market_close failed")
    assert f"session {session}: ingest: " in message["text"]
    assert "SIGKILL" in message["text"]
    assert quote(run["dag_run_id"], safe="") in json.dumps(message["blocks"])
    running.api.clear_failed("market_close", run["dag_run_id"])
    running.await_state(session, "success")
    running.await_told("Recovered: market_close failed")


def test_a_session_whose_upload_does_not_come_is_told_by_its_deadline_and_its_end_too(running: Running) -> None:
    session = date.fromisoformat(running.uploads[3].stem)
    late = f"The upload of session {session} has not come"
    running.await_told(late, timeout_s=DEADLINE_S + 120)
    running.land(running.uploads[3])
    running.await_state(session, "success")
    running.await_told(f"Recovered: {late}")
    assert len(running.told_of(late)) == 2
    assert len(running.told_of("market_close failed")) == 2


def test_a_killed_scheduler_comes_back_and_finishes_the_run_once(running: Running) -> None:
    session = running.land(running.uploads[2])
    wait_for(lambda: bool(find_children(running.settings, "validate")), "the session to be validated", poll_s=0.02)
    state = read_state(running.settings)
    assert state is not None
    scheduler = state.components["scheduler"].pid
    assert scheduler is not None
    psutil.Process(scheduler).kill()
    running.await_state(session, "success")
    assert_forecast_once(running, session)
    state = read_state(running.settings)
    assert state is not None
    assert state.components["scheduler"].pid != scheduler
