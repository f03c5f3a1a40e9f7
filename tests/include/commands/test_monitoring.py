"""`closecast skill`, `watch-forecasts` and `report` as a person or a script meets them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from include.commands.monitoring import report, skill, watch_forecasts
from include.errors import ClosecastError, InputError, NotFoundError
from include.settings import Settings, load_settings
from tests.include.monitoring.scenes import put_truth


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    put_truth(settings, tmp_path, ["[b]A", "B"], range(4))
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def run(command: Callable[..., None], *words: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(words))
    return done.stdout, done.exception


def test_skill_is_a_table_beside_the_last_close(home: Settings) -> None:
    said, error = run(skill, "--by", "symbol", "--sessions", "2")
    assert error is None
    title, header, *rows = said.splitlines()
    assert title.strip() == "Skill, sessions 2018-06-03 to 2018-06-04"
    assert header.split()[:3] == ["symbol", "target", "forecasts"]
    assert "last close's" in header
    assert sorted(row.split()[0] for row in rows) == ["B", "B", "[b]A", "[b]A"]


def test_skill_is_one_json_object_with_every_row(home: Settings) -> None:
    payload = json.loads(run(skill, "--json")[0])
    assert payload["sessions"] == ["2018-06-02", "2018-06-03", "2018-06-04"]
    first = payload["rows"][0]
    assert (first["group"], first["target"], first["forecasts"]) == ("newest 1", "open", 2)
    assert first["relative_error"] == pytest.approx(first["mean_absolute_error"] / first["last_close_error"])


def test_watch_says_what_it_cannot_judge_yet(home: Settings) -> None:
    said, error = run(watch_forecasts)
    assert error is None
    assert "inputs are not judged: no model is in Production" in said
    assert "2018-06-04: 10 signals, in breach: none; not judged yet: 10" in said
    assert json.loads(run(watch_forecasts, "--json")[0])["open"] == []


def test_report_names_its_page(home: Settings) -> None:
    payload = json.loads(run(report, "--json")[0])
    assert payload["session"] == "2018-06-04"
    assert Path(payload["page"]).is_file()


@pytest.mark.parametrize(
    ("command", "words", "kind"),
    [
        (skill, ["--by", "colour"], InputError),
        (report, ["2018-06-09"], NotFoundError),
        (report, ["tomorrow"], InputError),
    ],
)
def test_what_is_not_there_is_an_error(
    home: Settings, command: Callable[..., None], words: list[str], kind: type[ClosecastError]
) -> None:
    assert isinstance(run(command, *words)[1], kind)
