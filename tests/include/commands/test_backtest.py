"""`closecast backtest` and `closecast models reproduce`: what they answer, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.cli import app
from include.settings import load_settings
from include.training.recorded import read_recorded
from tests.conftest import TrainedHome


@pytest.fixture
def home(trained_home: TrainedHome, monkeypatch: pytest.MonkeyPatch):
    settings = trained_home.settings
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    monkeypatch.setenv("CLOSECAST_TRAIN_WINDOWS", str(settings.train_windows))
    monkeypatch.setenv("CLOSECAST_HOLDOUT_SESSIONS", str(settings.holdout_sessions))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def test_a_backtest_answers_with_a_table_and_a_page(home, tmp_path: Path) -> None:
    words = ["backtest", "--model", "last_close", "--origins", "2", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["last_close", "open"] in [line[:2] for line in lines]
    assert next(line for line in lines if line[:2] == ["last_close", "close"])[3] == "1.0000"
    assert (tmp_path / "out" / "report.html").exists()


def test_a_backtest_as_json_has_no_nan(home, tmp_path: Path) -> None:
    words = ["backtest", "--model", "last_close", "--no-refit", "--from", "2024-03-20", "--to", "2024-03-24", "--json"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path)], catch_exceptions=False)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    said = json.loads(done.stdout, parse_constant=refuse)
    assert (said["from"], said["to"], said["sessions"]) == ("2024-03-20", "2024-03-24", 5)
    assert said["metrics"][0]["coverage_80"] is None  # five sessions calibrate nothing
    assert len(said["fits"]["last_close"]) == 1


def test_reproduce_says_what_came_of_it(home) -> None:
    done = CliRunner().invoke(app, ["models", "reproduce", "2", "--json"], catch_exceptions=False)
    said = json.loads(done.stdout)
    assert (done.exit_code, said["outcome"], said["largest_difference"]) == (0, "same bytes", 0.0)


def test_a_version_that_comes_out_otherwise_exits_with_one(home, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = read_recorded(load_settings(), 2)
    shorter = replace(recorded, params={**recorded.params, "train_windows": "1500"})
    monkeypatch.setattr("include.training.reproduce.read_recorded", lambda settings, version: shorter)
    done = CliRunner().invoke(app, ["models", "reproduce", "2"], catch_exceptions=False)
    assert done.exit_code == 1
    assert "the refit differs: by up to" in done.stdout
