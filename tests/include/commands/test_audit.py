"""`closecast explain`, `replay` and `audit verify`: exit codes, --json, pages for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include import console
from include.cli import app
from include.settings import load_settings
from tests.include.audit.conftest import LAST, SCORED, SYMBOL, Scored, rewrite, scored, scored_home

__all__ = ["scored", "scored_home"]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture(autouse=True)
def home(scored: Scored, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLOSECAST_HOME", str(scored.settings.home))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def run(*words: object) -> Answer:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return Answer(done.exit_code, done.stdout)


def tamper(scored: Scored) -> None:
    (path,) = (scored.settings.lake / "predictions" / f"as_of={SCORED[0]}").glob("*.parquet")
    rewrite(path, lambda row: row | {"predicted": 1.0} if row["symbol"] == SYMBOL else row)


def test_explain_answers_in_json_and_draws_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "pictures" / "one.png"
    answer = run("explain", "--symbol", SYMBOL, "--as-of", LAST, "--why", "--replay", "--picture", picture, "--json")
    found = answer.payload
    assert answer.code == 0
    assert found["run"]["as_of"] == str(LAST)
    assert found["replay"]["outcome"] == "identical"
    shares = [sum(row[0][target] for row in found["why"]["shares"]) for target in (0, 1)]
    wanted = [found["why"]["forecast"][0][at] - found["why"]["baseline"][0][at] for at in (0, 1)]
    assert shares == pytest.approx(wanted, abs=1e-9)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [50, 160])
def test_explain_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", width)
    answer = run("explain", "--symbol", SYMBOL, "--as-of", LAST, "--why", "--replay")
    assert answer.code == 0
    assert max(len(line) for line in answer.out.splitlines()) <= width
    assert "…" not in answer.out
    said = " ".join(answer.out.split())
    for part in (
        "The window",
        "Where its rows came from",
        "promote by ada",
        "What came true",
        "What moved the forecast",
    ):
        assert part in said


def test_a_symbol_without_a_forecast_is_explained_but_not_why(scored: Scored) -> None:
    from include.lake.predictions import read_newest_run

    rows = read_newest_run(scored.settings.lake, LAST).to_pylist()
    symbol = next(row["symbol"] for row in rows if row["status"] not in ("scored", "fallback"))
    answer = run("explain", "--symbol", symbol)
    assert answer.code == 0
    with pytest.raises(Exception, match="a forecast must be the model's own"):
        run("explain", "--symbol", symbol, "--why")


def test_replay_of_a_period_counts_rows(scored: Scored) -> None:
    answer = run("replay", "--from", SCORED[0], "--to", LAST, "--json")
    found = answer.payload
    assert answer.code == 0
    assert found["rows"] == found["identical"] > 400
    assert len(found["replays"]) == 3
    tamper(scored)
    answer = run("replay", "--from", SCORED[0], "--to", LAST)
    assert answer.code == 1
    assert f"{SYMBOL} {SCORED[1]} open predicted: recorded 1.0, computed" in answer.out
    assert run("replay", "--from", SCORED[1], "--json").code == 0


def test_replay_of_one_symbol_says_what_is_its_own(scored: Scored) -> None:
    tamper(scored)
    assert run("explain", "--symbol", SYMBOL, "--as-of", SCORED[0], "--replay").code == 1
    assert run("replay", "--from", SCORED[0], "--symbol", "sim05").code == 0


def test_verify_names_what_was_changed_and_exits_with_1(scored: Scored) -> None:
    whole = run("audit", "verify", "--json")
    assert (whole.code, whole.payload["whole"]) == (0, True)
    tamper(scored)
    answer = run("audit", "verify")
    assert answer.code == 1
    assert f"{SYMBOL}, predicted, {SCORED[0]}" in answer.out
    assert f"market_close/run-{SCORED[0]}" in answer.out
