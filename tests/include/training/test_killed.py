"""A retrain that is killed at any of its steps, and done again: one version a model, one line in the ledger."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from include.registry.ledger import read_ledger
from include.registry.open import open_registry
from include.registry.register import REQUEST
from include.registry.verify import verify_ledger
from include.settings import PROJECT_ROOT
from include.training.done import is_done, run_step, write_json
from include.training.judgement import Judgement
from include.training.overrides import JUDGEMENT
from tests.include.conftest import Own
from tests.include.training.die import STEPS, do_step


@pytest.fixture(scope="module")
def mortal() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported what a retrain needs, so that a death costs no more than a fork."""
    argv = [sys.executable, "-m", "tests.include.training.die"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
        yield process


def die(mortal: subprocess.Popen[str], own: Own, number: int) -> None:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    mortal.stdin.write(json.dumps([str(own.settings.home), own.settings.mlflow_tracking_uri, number]) + "\n")
    mortal.stdin.flush()
    assert int(mortal.stdout.readline()) == signal.SIGKILL


def choose(step: str) -> list[object]:
    return [pytest.param(k, id=name) for k, (of, _, name) in enumerate(STEPS) if of == step]


@pytest.mark.parametrize("number", choose("fit"))
def test_a_fit_that_was_killed_is_done_again(mortal: subprocess.Popen[str], own: Own, number: int) -> None:
    folder = own.retrain.step("fit", "last_close")
    before = (folder / "model.onnx").read_bytes()
    shutil.rmtree(folder)
    die(mortal, own, number)
    assert not is_done(folder)
    do_step(own.settings, "fit")
    assert is_done(folder)
    assert (folder / "model.onnx").read_bytes() == before


@pytest.mark.parametrize("number", choose("register"))
def test_a_registration_that_was_killed_makes_one_version(mortal: subprocess.Popen[str], own: Own, number: int) -> None:
    from include.registry.client import connect

    die(mortal, own, number)
    do_step(own.settings, "register")
    versions = open_registry(own.settings).look().versions.values()
    made = [each.tags[REQUEST] for each in versions if each.tags.get(REQUEST, "").startswith("weekly-1 ")]
    assert made == ["weekly-1 ridge"]  # last_close is version 3 again
    client = connect(own.settings)
    experiment = client.get_experiment_by_name("closecast")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.{REQUEST} LIKE 'weekly-1 %'")
    assert [run.data.tags[REQUEST] for run in runs] == made


@pytest.mark.parametrize("number", choose("promote"))
def test_a_promotion_that_was_killed_is_one_line(mortal: subprocess.Popen[str], own: Own, number: int) -> None:
    judgement = Judgement("weekly-1", "last_close", 3, 2, "better", {}, {}, True, 20, None, {}, None)
    run_step(own.retrain.step("gate"), lambda folder: write_json(folder / JUDGEMENT, vars(judgement)))
    die(mortal, own, number)
    do_step(own.settings, "promote")
    state = open_registry(own.settings).look()
    assert (set(state.in_production), state.champion) == ({3}, 3)
    lines = [(line.action, line.to_version, line.who) for line in read_ledger(own.settings)]
    assert lines == [("adopt", 2, "unknown, in MLflow"), ("promote", 3, "ada")]
    assert verify_ledger(own.settings).faults == []
