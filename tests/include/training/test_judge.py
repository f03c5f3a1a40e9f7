"""The gate in a retrain: who takes part, on which sessions, and what is written down whichever way it goes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import mlflow
import pytest

from include.errors import NotFoundError
from include.registry.client import connect, quiet_stages
from include.registry.ledger import read_ledger
from include.registry.promote import promote_version
from include.registry.resolve import resolve_version
from include.registry.versions import show_version
from include.settings import Settings
from include.training.judge import judge_retrain
from include.training.judgement import Judgement
from include.training.overrides import HELD_BACK, NAIVE, NOT_JUDGED, SERVES
from include.training.promote import promote_judged
from tests.include.conftest import Own, serve_nothing


def judge(registered: Own) -> Judgement:
    said: list[str] = []
    judgement = judge_retrain(registered.settings, registered.retrain, say=said.append, cube=registered.cube)
    assert said[-1] == judgement.why
    return judgement


def promote(registered: Own) -> int:
    return promote_judged(registered.settings, registered.retrain, who="weekly", say=lambda said: None)


def find_challenger(judgement: Judgement, name: str) -> dict[str, object]:
    assert judgement.verdict is not None
    return next(one for one in judgement.verdict["challengers"] if one["name"] == name)


def read_verdict(settings: Settings, version: int, tmp_path: Path) -> dict[str, object]:
    run_id = connect(settings).get_model_version("closecast", str(version)).run_id
    path = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/verdict.json", dst_path=str(tmp_path))
    return dict(json.loads(Path(path).read_text()))


def read_description(settings: Settings, version: int) -> str:
    client = connect(settings)
    run = client.get_run(client.get_model_version("closecast", str(version)).run_id)
    return str(run.data.tags["mlflow.note.content"])


def test_the_champion_s_own_recipe_fitted_again_does_not_replace_it(registered: Own, tmp_path: Path) -> None:
    judgement = judge(registered)
    assert (judgement.serves, judgement.version, judgement.champion, judgement.changes) == ("ridge", 2, 2, False)
    assert judgement.gate == {"last_close": NAIVE, "ridge": HELD_BACK}
    assert (judgement.judged_sessions, judgement.judged_from) == (20, "2024-03-07")
    found = find_challenger(judgement, "ridge")
    assert [(one["other"], one["is_better"]) for one in found["comparisons"]] == [
        ("champion", False),
        ("last_close", True),
    ]
    assert found["comparisons"][0]["mean_difference"] == pytest.approx(0, abs=1e-6)
    assert found["unchecked"] == ["coverage"]
    of_columns = {"planted_column", "planted_column_where", "early_column", "early_column_where", "leaning_close"}
    assert judgement.leaks.keys() == of_columns | {"moved_labels"}
    assert promote(registered) == 2
    assert resolve_version(registered.settings).version == 2
    line = read_ledger(registered.settings)[-1]
    assert (line.action, line.from_version, line.to_version, line.who) == ("keep", 2, 2, "weekly")
    assert line.why == "no challenger passed the gate: ridge (version 2) serves on"
    told = json.loads(str(line.detail))
    assert told == read_verdict(registered.settings, 4, tmp_path) == json.loads(judgement.to_json())
    assert show_version(registered.settings, 4).tags["gate"] == HELD_BACK
    assert read_description(registered.settings, 4).startswith(f"**{HELD_BACK}**: {line.why}\n")


def test_where_nothing_served_a_challenger_that_passes_does(registered: Own) -> None:
    serve_nothing(registered.settings)
    judgement = judge(registered)
    assert (judgement.serves, judgement.version, judgement.champion) == ("ridge", 4, None)
    assert judgement.why.startswith("ridge passed the gate: loss ")
    assert judgement.gate == {"last_close": NAIVE, "ridge": SERVES}
    assert promote(registered) == 4
    line = read_ledger(registered.settings)[-1]
    assert (line.action, line.from_version, line.to_version) == ("promote", None, 4)
    assert promote(registered) == 4
    assert read_ledger(registered.settings)[-1] == line


def test_a_naive_champion_is_that_naive_model_and_is_told_by_name(registered: Own) -> None:
    promote_version(registered.settings, 1, who="ada", why="to begin with")
    judgement = judge(registered)
    assert (judgement.serves, judgement.version, judgement.champion) == ("ridge", 4, 1)
    assert [one["other"] for one in find_challenger(judgement, "ridge")["comparisons"]] == ["last_close"]


def test_a_naive_model_that_serves_on_keeps_its_version(registered: Own) -> None:
    promote_version(registered.settings, 1, who="ada", why="to begin with")
    judgement = judge(replace(registered, retrain=replace(registered.retrain, names=("last_close",))))
    assert (judgement.serves, judgement.version, judgement.is_naive, judgement.changes) == (
        "last_close",
        1,
        True,
        False,
    )
    assert judgement.why == "no challenger passed the gate: last_close (version 1), a naive model, serves on"


def test_where_nothing_served_and_nothing_passes_a_naive_model_does_and_it_is_said(registered: Own) -> None:
    serve_nothing(registered.settings)
    judgement = judge(replace(registered, retrain=replace(registered.retrain, names=("last_close",))))
    assert judgement.why == "no challenger passed the gate and nothing served: last_close, a naive model, serves"
    assert judgement.gate == {"last_close": SERVES}
    assert promote(registered) == judgement.version == 3


def test_a_champion_that_was_fitted_on_what_is_held_out_stays_unjudged(registered: Own) -> None:
    connect(registered.settings).set_model_version_tag("closecast", "2", "holdout_from", date(2024, 3, 8).isoformat())
    judgement = judge(registered)
    assert (judgement.version, judgement.verdict, judgement.judged_sessions) == (2, None, 19)
    assert judgement.gate["ridge"] == NOT_JUDGED
    assert judgement.why == (
        "not judged: fewer than 20 sessions that nobody was fitted on; ridge (version 2) serves on"
    )
    assert promote(registered) == 2
    assert read_ledger(registered.settings)[-1].action == "keep"


def test_who_was_put_into_production_since_is_not_replaced(registered: Own) -> None:
    serve_nothing(registered.settings)
    assert judge(registered).version == 4
    promote_version(registered.settings, 1, who="ada", why="meanwhile")
    assert promote(registered) == 1
    line = read_ledger(registered.settings)[-1]
    assert (line.action, line.to_version) == ("keep", 1)
    assert line.why.startswith("judged beside version None, but version 1 serves by now: ridge passed the gate")


def test_a_stage_that_a_person_moves_before_the_promotion_stands(registered: Own) -> None:
    serve_nothing(registered.settings)
    assert judge(registered).version == 4
    with quiet_stages():
        connect(registered.settings).transition_model_version_stage("closecast", "2", "Production")
    assert promote(registered) == 2
    assert [(line.action, line.to_version) for line in read_ledger(registered.settings)] == [("adopt", 2), ("keep", 2)]
    assert resolve_version(registered.settings).version == 2


def test_a_version_whose_graph_is_another_than_was_judged_is_not_promoted(registered: Own) -> None:
    serve_nothing(registered.settings)
    assert judge(registered).version == 4
    connect(registered.settings).set_model_version_tag("closecast", "4", "onnx_sha256", "0" * 64)
    with pytest.raises(NotFoundError, match="must have the graph that was promoted"):
        promote(registered)
    assert read_ledger(registered.settings) == []


def test_a_naive_version_of_an_earlier_retrain_keeps_the_verdict_of_its_own(registered: Own) -> None:
    before = show_version(registered.settings, 3).tags
    judge(registered)
    assert show_version(registered.settings, 3).tags == before
    assert show_version(registered.settings, 4).tags["gate"] == HELD_BACK
