"""The watch over a lake: outcomes of forecasts that go wrong, and one message when they do and one when they do not."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from include import tasks
from include.alerts.deliver import deliver
from include.alerts.episodes import list_open
from include.alerts.kinds import KINDS
from include.alerts.store import open_store
from include.errors import InputError
from include.lake.tables import OUTCOMES
from include.monitoring import skill
from include.monitoring.watch import breaches_file, find_kind, read_breaches, watch_forecasts
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
    told = home.model_copy(update={"slack_webhook_url": SecretStr(slack.url), "alerts_group_s": 0.0})
    replay(told, range(25, LAST), monkeypatch)
    breaches = read_breaches(told)
    assert {each.signal for each in breaches} >= {"correlation_open", "correlation_close"}
    assert all(each.ended for each in breaches)
    assert len({each.signal for each in breaches}) == len(breaches)
    (began,) = {each.began for each in breaches if each.signal == "correlation_close"}
    assert FLIPPED[0] < (began - day(0)).days <= FLIPPED[2]
    kinds = {find_kind(each.signal) for each in breaches}
    opened = [post["text"] for post in slack.posts if "Recovered" not in post["text"]]
    over = [post["text"] for post in slack.posts if "Recovered" in post["text"]]
    assert {line.partition(", session")[0] for line in opened} >= {f"🟡 {KINDS[kind].title}" for kind in kinds}
    assert len(over) == len(kinds)
    assert f"session {began}: correlation_" in " ".join(opened)
    assert "back below its limit" in str(slack.posts[-1]["blocks"])
    told_of = len(slack.posts)
    watch_forecasts(told)
    assert len(slack.posts) == told_of


def test_what_slack_did_not_take_waits_and_is_reported_once(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSlack(Answer(status=403, body="invalid_token")) as slack:
        told = home.model_copy(update={"slack_webhook_url": SecretStr(slack.url), "alerts_group_s": 0.0})
        replay(told, range(28, 29), monkeypatch)
        assert all(each.began_told for each in read_breaches(told))
        replay(told, range(28, 29), monkeypatch)
        assert len(slack.posts) == 1
        assert deliver(told, deadline_s=5, clock=lambda: time.time() + 121).waiting == 0
        with open_store(told) as connection:
            assert {each.count for each in list_open(connection)} == {1}


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
