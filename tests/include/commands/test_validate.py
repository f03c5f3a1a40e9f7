"""`closecast validate`: the table, the JSON object, and the exit code of a blocked session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

import pytest
import typer
from typer.testing import CliRunner

from include.commands.validate import validate
from include.errors import BlockedError
from include.settings import Settings, load_settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAY = date(2018, 6, 10)


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    monkeypatch.setenv("COLUMNS", "160")
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def run(*words: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(validate)
    done = CliRunner().invoke(app, list(words))
    return done.stdout, done.exception


def test_a_session_that_passes_is_one_json_object(home: Settings) -> None:
    put_bars(home.lake, bar_rows([bar_row("A", DAY), bar_row("B", DAY, close=1.4)]))
    said, error = run("--json")
    assert error is None
    payload = json.loads(said)
    assert (payload["session"], payload["blocked"]) == ("2018-06-10", False)
    assert {"expectation", "severity", "success", "unexpected_count", "symbols", "detail"} == set(payload["results"][0])
    assert payload["page"].startswith("file://")


def test_a_blocked_session_is_a_table_with_examples_and_remedies_and_an_error(home: Settings) -> None:
    rows = [bar_row(f"[b]S{number}", DAY, low=9.0, close=1.0 + number / 100) for number in range(7)]
    put_bars(home.lake, bar_rows([*rows, bar_row("GOOD", DAY)]))
    said, error = run("2018-06-10")
    assert isinstance(error, BlockedError)
    assert error.exit_code == 5
    first = next(line for line in said.splitlines() if line.startswith("low_is_lowest"))
    assert first.split()[1:4] == ["session", "blocked", "7"]
    assert "[b]S0, [b]S1, [b]S2, [b]S3, [b]S4" in first
    assert "[b]S5" not in said
    assert "→ ingest a corrected upload of the symbols that are named" in said
    assert said.index("low_is_lowest") < said.index("columns_are_there")
    assert "Data Docs: file://" in said


def test_a_blocked_session_leaves_standard_output_to_the_error(home: Settings) -> None:
    put_bars(home.lake, bar_rows([bar_row("A", DAY, low=9.0)]))
    said, error = run("--json")
    assert (said, type(error)) == ("", BlockedError)
