"""The watch over a lake: outcomes of forecasts that go wrong, and one message when they do and one when they do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from include import tasks
from include.errors import InputError
from include.lake.tables import OUTCOMES
from include.monitoring import skill
from include.monitoring.watch import breaches_file, read_breaches, watch_forecasts
from include.settings import Settings
from tests.fakes import Answer, FakeSlack
from tests.include.monitoring.scenes import day, put_truth

SYMBOLS = [f"S{number:02d}" for number in range(32)]
FLIPPED = range(26, 31)
LAST = 37


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Sessions of 32 symbols; in five the forecasts have the sign wrong."""
    folder = tmp_path_factory.mktemp("played")
    settings = Settings(home=folder / "home", _env_file=None)
    put_truth(settings, folder, SYMBOLS, range(LAST), flipped=FLIPPED)
    return settings


@pytest.fixture
def home(played: Settings, tmp_path: Path) -> Settings:
    """The same lake, in a home without episodes."""
    shutil.copytree(played.lake / OUTCOMES.name, tmp_path / "home" / "lake" / OUTCOMES.name)
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


def replay(settings: Settings, sessions: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch after each session, as if those behind it had not come yet."""
    everything = skill.settled_sessions(settings)
    for number in sessions:
        come = [each for each in everything if each <= day(number)]
        monkeypatch.setattr("include.monitoring.watch.settled_sessions", lambda settings, come=come: come)
        watch_forecasts(settings)


def test_a_breach_is_told_once_and_its_end_once(
    home: Settings, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = home.model_copy(update={"slack_webhook_url": SecretStr(slack.url)})
    replay(told, range(25, LAST), monkeypatch)
    breaches = read_breaches(told)
    assert {each.signal for each in breaches} >= {"correlation_open", "correlation_close"}
    assert all(each.ended for each in breaches)
    assert len({each.signal for each in breaches}) == len(breaches)
    (began,) = {each.began for each in breaches if each.signal == "correlation_close"}
    assert FLIPPED[0] < (began - day(0)).days <= FLIPPED[2]
    assert len(slack.posts) == len({each.began for each in breaches} | {each.ended for each in breaches})
    first, *_, last = [post["text"] for post in slack.posts]
    assert first.startswith(f"Forecasts, session {began}: ")
    assert "correlation_close in breach since 2018-06-2" in first
    assert "is over: back below its limit" in last
    watch_forecasts(told)
    assert len(slack.posts) == len({each.began for each in breaches} | {each.ended for each in breaches})


def test_what_slack_did_not_take_is_sent_by_the_next_watch(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSlack(Answer(status=403, body="invalid_token")) as slack:
        told = home.model_copy(update={"slack_webhook_url": SecretStr(slack.url)})
        replay(told, range(28, 29), monkeypatch)
        assert [each.began_told for each in read_breaches(told)] == [False] * len(read_breaches(told))
        replay(told, range(28, 29), monkeypatch)
        assert all(each.began_told for each in read_breaches(told))
        assert len(slack.posts) == 2


def test_a_second_try_answers_as_the_first(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.monitoring.watch.settled_sessions", lambda settings: [day(n) for n in range(1, 29)])
    monkeypatch.setattr(tasks, "load_settings", lambda: home)
    first, second = tasks.watch_forecasts(), tasks.watch_forecasts()
    assert first == second
    assert first["session"] == str(day(28))
    assert "correlation_open" in first["began"]


@pytest.mark.parametrize(
    ("setting", "began", "wanted"), [(True, ["inputs"], True), (True, [], False), (False, ["inputs"], False)]
)
def test_a_breach_that_begins_starts_a_retrain_where_a_setting_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: bool, began: list[str], wanted: bool
) -> None:
    monkeypatch.setattr(tasks, "load_settings", lambda: settings.model_copy(update={"retrain_on_breach": setting}))
    assert tasks.wants_retrain({"began": began}) is wanted


def test_calm_sessions_begin_nothing(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    replay(home, range(24, 26), monkeypatch)
    assert read_breaches(home) == []


def test_without_outcomes_or_a_model_there_is_nothing_to_judge(home: Settings) -> None:
    assert watch_forecasts(Settings(home=home.home / "empty", _env_file=None)).session is None
    assert watch_forecasts(home).inputs == "no model is in Production"


@pytest.mark.parametrize("text", ["{", "[{}]", json.dumps([{"began": "yesterday"}])])
def test_a_spoilt_file_of_episodes_is_told_of(settings: Settings, text: str) -> None:
    breaches_file(settings).parent.mkdir(parents=True)
    breaches_file(settings).write_text(text)
    with pytest.raises(InputError):
        read_breaches(settings)
