"""The main job on one machine, from history to forecasts, shown as it happens.

Airflow and MLflow start while the exchange is simulated or the file is read; the history is loaded and the first models
are trained; then the newest sessions arrive one after the other and the scheduler's own runs forecast each.
"""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from include.console import Step, emit, err, out, plain, show_steps
from include.errors import ClosecastError, InputError, UnavailableError
from include.home import made_by, remember_home
from include.ingest.ingest import ingest_upload
from include.ingest.report import IngestReport
from include.lake.predictions import read_newest_run
from include.market.replay import Replay, live_sessions, write_replay
from include.market.sessions import guess_calendar, newest_closed_session, sessions_between
from include.monitoring.outcomes import settle
from include.monitoring.skill import Skill, read_skill
from include.scoring.publish import widen_run
from include.settings import Settings
from include.show import build_skill_table, show_forecasts, show_retrain
from include.steps import OpenStep, retrain, simulate_to
from include.system.airflow_api import AirflowApi, connect_airflow
from include.system.control import start_detached, stop
from include.system.credentials import load_login, mlflow_passwords_file, passwords_file
from include.system.state import State, read_state
from include.training.snapshot import fewest_sessions
from include.training.train import Retrained
from include.uploads.read import list_uploads, read_upload

SESSION_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class DemoResult:
    """What the demo did, for its picture and for --json."""

    history: list[IngestReport]
    retrained: Retrained
    session_seconds: dict[str, float]
    skill: list[Skill]


def run_demo(
    settings: Settings,
    *,
    data: Path | None,
    calendar: str | None,
    symbols: int,
    sessions: int,
    live: int,
    as_json: bool,
) -> None:
    """Run the whole demo and draw its end."""
    started = time.monotonic()
    if data is None and sessions - live < (fewest := fewest_sessions(settings)):
        rule = f"the demo needs {fewest} sessions to train on and {live} that arrive"
        raise InputError(rule, value=sessions, place="--sessions")
    _clear_earlier_demo(settings)
    folder = settings.home / "exchange"
    with show_steps() as open_step:
        if data is None:
            chosen, guessed = calendar or settings.calendar, False
            last = newest_closed_session(chosen, datetime.now(UTC))
            wanted = {"symbols": symbols, "sessions": sessions, "calendar": chosen, "seed": 7, "last_session": last}
            replay = simulate_to(folder, open_step("Simulate an exchange"), live=live, **wanted)
        else:
            replay, chosen, guessed = _read_data(data, folder, open_step, calendar, live)
        changes = {
            "calendar": chosen,
            "first_session": replay.sessions[0],
            "last_session": replay.sessions[-1],
            "close_delay_s": 0,
        }
        settings = settings.model_copy(update=changes)
        remember_home(settings, made_by="demo")
        system = _SystemStart(settings, open_step("Start Airflow and MLflow"))
        try:
            result = _play(settings, open_step, replay, system)
        finally:
            system.stop(open_step)
    payload = asdict(result) | {"home": settings.home, "calendar": chosen, "calendar_guessed": guessed}
    payload["seconds"] = round(time.monotonic() - started, 1)
    emit(payload, as_json=as_json, render=lambda: show_result(settings, result, payload["seconds"]))


def _clear_earlier_demo(settings: Settings) -> None:
    """Begin anew where an earlier demo lies; never touch a home that holds anything else."""
    home = settings.home
    if home.is_dir() and any(home.iterdir()) and made_by(settings) != "demo":
        rule = "the demo needs an empty CLOSECAST_HOME, or one that only demos have used (set another, or remove it)"
        raise InputError(rule, value="other state", place=str(home))
    if read_state(settings) is not None:
        raise UnavailableError("the demo needs a home on which nothing runs (closecast down stops it)", place=str(home))
    if home.is_dir() and any(home.iterdir()):
        err.print(plain(f"Removing the earlier demo in {home}"), soft_wrap=True)
    shutil.rmtree(home, ignore_errors=True)
    remember_home(settings, made_by="demo")


def _read_data(
    data: Path, folder: Path, open_step: OpenStep, calendar: str | None, live: int
) -> tuple[Replay, str, bool]:
    """Read real files, tell their calendar, and split them into a history and what arrives."""
    uploads = []
    for path in list_uploads(data):
        line = open_step(f"Read {path.name}"[:34])
        uploads.append(read_upload(path, on_progress=line.update))
        line.finish(f"{uploads[-1].rows:,} rows")
    days = sorted({day for upload in uploads for day in upload.bars.sessions()})
    chosen = calendar or guess_calendar(days)
    line = open_step("Split into history and arrivals")
    arriving = live_sessions(uploads, sessions_between(chosen, days[0], days[-1]), live)
    replay = write_replay(uploads, arriving, folder)
    line.finish(f"calendar {chosen}{'' if calendar else ' (guessed from the dates)'}")
    return replay, chosen, calendar is None


class _SystemStart:
    """Airflow and MLflow starting in the background while the history is loaded."""

    def __init__(self, settings: Settings, step: Step) -> None:
        self._settings, self._step = settings, step
        self._state: State | None = None
        self._error: ClosecastError | None = None
        self._thread = threading.Thread(target=self._start, daemon=True)
        self._thread.start()

    def _start(self) -> None:
        try:
            self._state = start_detached(
                self._settings, on_event=lambda event: self._step.say(f"{event.component}: {event.status}")
            )
        except ClosecastError as error:
            self._error = error
        else:
            self._step.finish("all healthy")

    def wait(self) -> State:
        """Wait until all components are healthy."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._state is not None  # the thread ended with one or the other
        return self._state

    def stop(self, open_step: OpenStep) -> None:
        """Stop what was started, however far it came."""
        self._thread.join()
        line = open_step("Stop Airflow and MLflow")
        stop(self._settings)
        line.finish("nothing is left running")


def _play(settings: Settings, open_step: OpenStep, replay: Replay, system: _SystemStart) -> DemoResult:
    """Load, train, then let the sessions arrive."""
    history = []
    for path in replay.history:
        line = open_step("Load the history")
        history.append(ingest_upload(settings, path, on_progress=line.update))
        line.finish(f"{history[-1].accepted:,} bars of {history[-1].sessions} sessions")
    once = settings.model_copy(update={"backtest_origins": 1})  # refits show how models age, and take as long again
    retrained = retrain(once, open_step, names=None, promote=True, who="demo")
    state = system.wait()
    api = connect_airflow(settings, state)
    seconds = {}
    for path, session in zip(replay.uploads, replay.sessions, strict=True):
        line = open_step(f"Session {session} arrives")
        seconds[session.isoformat()] = _await_session(settings, api, path, session, line)
    for session in replay.sessions:  # the scheduler's own settle comes after the publish that was waited for
        settle(settings, session)
    return DemoResult(history, retrained, seconds, read_skill(settings, by="session", sessions=len(seconds)).rows)


def _await_session(settings: Settings, api: AirflowApi, path: Path, session: date, line: Step) -> float:
    """Place an upload and wait for the scheduler's run to publish its forecasts; return the seconds it took."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    partial = settings.inbox / f".{path.name}"
    shutil.copyfile(path, partial)
    published = settings.published / f"{session}.parquet"
    placed = time.monotonic()
    partial.replace(settings.inbox / path.name)
    while not published.exists():
        waited = time.monotonic() - placed
        line.say(f"{_run_state(api, session)}, {waited:.0f} s")
        if waited > SESSION_TIMEOUT_S:
            raise UnavailableError(f"session {session} must be forecast in {SESSION_TIMEOUT_S:.0f} s", place=api.url)
        time.sleep(0.5)
    took = round(time.monotonic() - placed, 1)
    line.finish(f"forecasts published in {took} s")
    return took


def _run_state(api: AirflowApi, session: date) -> str:
    """Say which task of the session's run is at work; raise where the run has failed."""
    runs = api.runs_of("market_close", session.isoformat())
    if not runs:
        return "waiting for the scheduler"
    tasks = api.tasks("market_close", runs[0]["dag_run_id"])
    failed = [task["task_id"] for task in tasks if task["state"] == "failed"]
    if runs[0]["state"] == "failed":
        raise UnavailableError(f"market_close must succeed for {session}", value=f"failed: {failed}", place=api.url)
    busy = [task["task_id"] for task in tasks if task["state"] in ("running", "queued", "deferred", "up_for_retry")]
    return busy[0] if busy else "between tasks"


def show_result(settings: Settings, result: DemoResult, seconds: float) -> None:
    """Draw what happened, and say what to type next."""
    session = max(date.fromisoformat(day) for day in result.session_seconds)
    rows = widen_run(read_newest_run(settings.lake, session)).to_pylist()
    out.print()
    for report in result.history:
        out.print(plain(report.summary()), soft_wrap=True)
    out.print()
    show_retrain(result.retrained)
    out.print()
    show_forecasts(_choose_rows(rows), f"Forecasts made at the close of {session} for {rows[0]['target_session']}")
    counts = Counter(row["status"] for row in rows)
    out.print("  ".join(f"{status} {count:,}" for status, count in counts.most_common()))
    out.print()
    out.print(build_skill_table("What came true: mean absolute error of the log return", "session", result.skill))
    login, home = load_login(settings), plain(choose_home(settings))
    took = ", ".join(f"{day} {took} s" for day, took in result.session_seconds.items())
    out.print(f"\nUpload to forecasts: {took}. The whole demo: {seconds:.0f} s.")
    out.print(plain(f"Tables:   {settings.lake} (Delta), forecasts as files: {settings.published}"), soft_wrap=True)
    out.print(
        f"Next:     [bold]{home}make up[/bold] opens the same state: Airflow (user {login.user}, its password in"
        f" {plain(str(passwords_file(settings)))}) and MLflow"
        f" (users in {plain(str(mlflow_passwords_file(settings)))})\n"
        f"          [bold]closecast predict --symbol {plain(rows[0]['symbol'])}[/bold]"
        "   [bold]closecast models list[/bold]   [bold]closecast status[/bold]",
        soft_wrap=True,
    )
    if home:
        out.print("          each with the same CLOSECAST_HOME before it")


def choose_home(settings: Settings) -> str:
    """Say how the next command finds the home of this one: nothing where it is the one by default."""
    home, default = settings.home.absolute(), Settings.model_fields["home"].default.absolute()
    return "" if home == default else f"CLOSECAST_HOME={shlex.quote(str(home))} "


def _choose_rows(rows: list[dict[str, Any]], most: int = 8) -> list[dict[str, Any]]:
    """Choose a few scored symbols and one of each other status."""
    scored = [row for row in rows if row["status"] == "scored"]
    others = {row["status"]: row for row in rows if row["status"] != "scored"}
    stride = max(1, len(scored) // most)
    return scored[::stride][:most] + list(others.values())
