"""A person's word over the gate's is in the ledger, and shown."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from include.cli import app
from include.registry.api import Registered
from include.registry.ledger import read_ledger
from include.registry.open import open_registry
from include.registry.promote import rollback_version
from include.registry.resolve import resolve_version
from include.settings import Settings, load_settings
from include.training.done import run_step, write_json
from include.training.judge import judge_retrain
from include.training.overrides import Word, describe_override, describe_rollback, is_override, read_words
from include.training.promote import promote_judged
from tests.include.conftest import Own, serve_nothing

GRAPH = "a" * 64


def note(settings: Settings, word: str, graph: str = GRAPH) -> None:
    """Write a retrain's verdict down as the gate does."""
    said = {"gate": {"ridge": word}, "graphs": {"ridge": graph}, "holdout_from": "2026-03-01"}
    folder = settings.training / f"weekly-{word}" / "gate"
    run_step(folder, lambda folder: write_json(folder / "verdict.json", said))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("serves", None),
        ("passed", None),
        ("held back", "held back"),
        ("naive", "naive"),
        (None, "not judged"),
    ],
)
def test_only_what_the_gate_passed_needs_no_override(settings: Settings, word: str | None, shown: str | None) -> None:
    if word:
        note(settings, word)
    said = describe_override(settings, Registered(3, "None", {"gate": "passed", "onnx_sha256": GRAPH}, None))
    assert said == (None if shown is None else json.dumps({"override": True, "gate": shown}))


def test_a_word_is_of_one_graph_and_of_a_record_that_is_whole(settings: Settings) -> None:
    note(settings, "passed")
    other = Registered(3, "None", {"onnx_sha256": "b" * 64}, None)
    assert describe_override(settings, other) == json.dumps({"override": True, "gate": "not judged"})
    (record,) = settings.training.glob("*/gate/verdict.json")
    record.write_text(record.read_text().replace("a" * 64, "b" * 64))
    assert describe_override(settings, other) == json.dumps({"override": True, "gate": "not judged"})


def test_a_verdict_in_the_ledger_is_known_when_its_record_is_gone(registered: Own) -> None:
    serve_nothing(registered.settings)
    judgement = judge_retrain(registered.settings, registered.retrain, say=str, cube=registered.cube)
    promote_judged(registered.settings, registered.retrain, who="weekly", say=str)
    shutil.rmtree(registered.settings.training)
    words = read_words(registered.settings)
    assert words[judgement.graphs["ridge"]] == Word("serves", registered.retrain.snapshot.holdout_from)
    assert read_ledger(registered.settings)[-1].graph_sha256 == judgement.graphs["ridge"] == judgement.graph
    versions = open_registry(registered.settings).look().versions
    assert describe_override(registered.settings, versions[4]) is None


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
