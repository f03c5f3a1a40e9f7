"""A person's word over the gate's is in the ledger, and shown."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from include.cli import app
from include.registry.api import Registered
from include.registry.ledger import read_ledger
from include.registry.promote import rollback_version
from include.registry.resolve import resolve_version
from include.settings import load_settings
from include.training.overrides import describe_override, describe_rollback, is_override
from tests.include.conftest import Own


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"gate": "serves"}, None),
        ({"gate": "passed"}, None),
        ({"gate": "held back"}, "held back"),
        ({"gate": "naive"}, "naive"),
        ({}, "not judged"),
    ],
)
def test_only_what_the_gate_passed_needs_no_override(tags: dict[str, str], word: str | None) -> None:
    said = describe_override(Registered(3, "None", tags, None))
    assert said == (None if word is None else json.dumps({"override": True, "gate": word}))


def test_a_promotion_by_hand_shows_that_no_gate_passed_it(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_HOME", str(own.settings.home))
    load_settings.cache_clear()
    run = CliRunner(env={"COLUMNS": "200"})
    assert run.invoke(app, ["models", "promote", "3", "--why", "the desk asks for it"]).exit_code == 0
    shown = run.invoke(app, ["models", "history"]).stdout
    load_settings.cache_clear()
    line = read_ledger(own.settings)[-1]
    assert (line.action, line.to_version, is_override(line)) == ("promote", 3, True)
    assert "the desk asks for it (no gate passed it)" in shown


def test_a_rollback_to_a_version_that_never_served_shows_it_too(own: Own) -> None:
    assert resolve_version(own.settings).version == 2
    for to, is_shown in ((3, True), (2, False), (3, False), (None, False)):
        detail = describe_rollback(own.settings, to)
        rollback_version(own.settings, to=to, who="ada", why="the desk asks for it", detail=detail)
        line = read_ledger(own.settings)[-1]
        assert (line.action, is_override(line)) == ("rollback", is_shown)
