"""A home remembers how it was begun; what is given wins over it."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
import pytest

from include.errors import InputError
from include.home import MEMORY, begin_home, made_by, recall_home, remember_home, with_running_registry
from include.market.sessions import newest_closed_session
from include.settings import Settings
from include.system.state import State, created_after_boot, write_state

BEGUN = {
    "calendar": "XNYS",
    "first_session": date(2018, 6, 1),
    "last_session": date(2018, 6, 8),
    "close_delay_s": 5,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    remember_home(Settings(home=tmp_path, **BEGUN, _env_file=None), made_by="demo")
    return tmp_path


def test_a_home_recalls_what_it_was_begun_with(home: Path) -> None:
    recalled = recall_home(Settings(home=home, _env_file=None))
    assert {name: getattr(recalled, name) for name in BEGUN} == BEGUN
    assert recalled.home == home
    assert made_by(recalled) == "demo"
    assert recall_home(recalled) == recalled


def test_what_is_given_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_LAST_SESSION", "2018-07-02")
    recalled = recall_home(Settings(home=home, calendar="24/7", seed=9, _env_file=None))
    assert (recalled.calendar, recalled.last_session, recalled.seed) == ("24/7", date(2018, 7, 2), 9)
    assert (recalled.first_session, recalled.close_delay_s) == (date(2018, 6, 1), 5)


def test_a_new_home_recalls_nothing(settings: Settings) -> None:
    assert recall_home(settings) is settings
    assert made_by(settings) is None
    assert not settings.home.exists()


def test_a_new_home_begins_at_the_newest_closed_session(settings: Settings) -> None:
    before = newest_closed_session("24/7", datetime.now(UTC))
    begun = begin_home(settings)
    assert begun.first_session in (before, newest_closed_session("24/7", datetime.now(UTC)))
    assert made_by(settings) == "up"
    assert recall_home(settings).first_session == begun.first_session


def test_a_home_that_a_demo_began_is_taken_over_with_its_schedule(home: Path) -> None:
    began = begin_home(Settings(home=home, _env_file=None))
    assert (began.first_session, began.last_session) == (date(2018, 6, 1), date(2018, 6, 8))
    assert made_by(began) == "up"
    before = (home / MEMORY).read_text()
    assert begin_home(Settings(home=home, _env_file=None)) == began
    assert (home / MEMORY).read_text() == before
    assert [path.name for path in home.iterdir()] == [MEMORY]


@pytest.mark.parametrize("content", ["{", "[]", '"x"'])
def test_a_memory_that_is_no_json_object_is_named(settings: Settings, content: str) -> None:
    settings.home.mkdir()
    (settings.home / MEMORY).write_text(content)
    with pytest.raises(InputError, match="what a home remembers must be") as caught:
        recall_home(settings)
    assert caught.value.place == str(settings.home / MEMORY)


def test_the_registry_of_the_running_system_is_used_unless_one_is_given(settings: Settings) -> None:
    settings.run_dir.mkdir(parents=True)
    me = psutil.Process(os.getpid())
    state = State("x", me.pid, created_after_boot(me), "now", "http://127.0.0.1:1", "http://127.0.0.1:2")
    write_state(settings.run_dir, state)
    assert with_running_registry(settings).mlflow_tracking_uri == "http://127.0.0.1:2"
    given = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:3"})
    assert with_running_registry(given).mlflow_tracking_uri == "http://127.0.0.1:3"


def test_without_a_running_system_the_registry_is_the_local_store(settings: Settings) -> None:
    assert with_running_registry(settings) is settings


def test_a_memory_is_replaced_in_one_step(home: Path) -> None:
    remember_home(Settings(home=home, calendar="24/7", _env_file=None), made_by="up")
    assert json.loads((home / MEMORY).read_text())["calendar"] == "24/7"
    assert [path.name for path in home.iterdir()] == [MEMORY]
