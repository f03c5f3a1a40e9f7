"""A change that is killed at any of its steps: the next run serves one version, and the ledger has one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from include.registry.change import has_pending
from include.registry.ledger import read_ledger
from include.registry.open import open_registry
from include.registry.promote import promote_version
from include.registry.resolve import resolve_version
from include.registry.verify import verify_ledger
from include.settings import PROJECT_ROOT, Settings
from tests.include.registry.die import ARGUMENTS, STEPS, keep, roll_back

NAMES = [name for _, name in STEPS]
MOVES = ("put_in_production", "name_champion")
KEEPS = [name for name in NAMES if name not in (*MOVES, "remember_serving")]


@pytest.fixture
def served(own: Settings, mlflow_url: str) -> Settings:
    """A home where version 2 serves, and the graph of 3 has been fetched."""
    settings = own.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    assert resolve_version(settings).version == 2
    resolve_version(settings, 3)
    return settings


@pytest.fixture(scope="module")
def mortal() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported what a promotion needs, so that a death costs no more than a fork."""
    argv = [sys.executable, "-m", "tests.include.registry.die"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
        yield process


def work_and_die(mortal: subprocess.Popen[str], operation: str, settings: Settings, step: int) -> None:
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    mortal.stdin.write(json.dumps([operation, str(settings.home), settings.mlflow_tracking_uri, step]) + "\n")
    mortal.stdin.flush()
    assert int(mortal.stdout.readline()) == signal.SIGKILL


@pytest.mark.parametrize("step", range(len(STEPS)), ids=NAMES)
def test_a_rerun_makes_it_one_version_and_one_line(mortal: subprocess.Popen[str], served: Settings, step: int) -> None:
    work_and_die(mortal, "promote", served, step)
    promote_version(served, 3, **ARGUMENTS)
    state = open_registry(served).look()
    assert (set(state.in_production), state.champion) == ({3}, 3)
    lines = [(line.from_version, line.to_version, line.action, line.who) for line in read_ledger(served)]
    assert lines == [(None, 2, "adopt", "unknown, in MLflow"), (2, 3, "promote", "ada")]
    assert verify_ledger(served).faults == []
    assert not has_pending(served)


@pytest.mark.parametrize("step", range(len(STEPS)), ids=NAMES)
def test_a_rollback_that_is_done_again_goes_back_once(
    mortal: subprocess.Popen[str], served: Settings, step: int
) -> None:
    for version in (1, 3):
        promote_version(served, version, **ARGUMENTS)
    work_and_die(mortal, "roll_back", served, step)
    roll_back(served)
    state = open_registry(served).look()
    assert (set(state.in_production), state.champion, resolve_version(served).version) == ({1}, 1, 1)
    assert [(line.from_version, line.to_version) for line in read_ledger(served) if line.action == "rollback"] == [
        (3, 1)
    ]
    assert verify_ledger(served).faults == []
    assert not has_pending(served)


@pytest.mark.parametrize("step", [step for step, name in enumerate(NAMES) if name in KEEPS], ids=KEEPS)
def test_a_challenger_is_turned_down_once(mortal: subprocess.Popen[str], served: Settings, step: int) -> None:
    work_and_die(mortal, "keep", served, step)
    keep(served)
    assert resolve_version(served).version == 2
    lines = [(line.from_version, line.to_version, line.who, line.detail) for line in read_ledger(served)[1:]]
    assert lines == [(2, 2, "ada", '{"p": 0.4}')]
    assert verify_ledger(served).faults == []
    assert not has_pending(served)


@pytest.mark.parametrize("step", [0, 2, 6], ids=["write_atomically", "name_champion", "unlink"])
def test_without_a_rerun_the_next_forecast_finishes_it_or_never_saw_it(
    mortal: subprocess.Popen[str], served: Settings, step: int
) -> None:
    work_and_die(mortal, "promote", served, step)
    begun = step > 0
    assert resolve_version(served).version == (3 if begun else 2)
    assert [line.who for line in read_ledger(served)][1:] == (["ada"] if begun else [])
    assert not has_pending(served)


def test_a_version_that_was_deleted_before_it_could_be_finished_is_let_go(
    mortal: subprocess.Popen[str], served: Settings, own: Settings
) -> None:
    from include.registry.client import connect

    work_and_die(mortal, "promote", served, 1)
    connect(own).delete_model_version("closecast", "3")
    assert resolve_version(served).version == 2
    assert len(read_ledger(served)) == 1
    assert not has_pending(served)


def test_many_at_once_make_one_chain(served: Settings) -> None:
    def promote(version: int) -> None:
        promote_version(served, version, who="ada", why=f"{version} is best")

    threads = [threading.Thread(target=promote, args=(version,)) for version in (1, 2, 3, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify_ledger(served).faults == []
    serving = read_ledger(served)[-1].to_version
    state = open_registry(served).look()
    assert (set(state.in_production), state.champion) == ({serving}, serving)


def test_a_request_that_is_made_again_adds_no_second_line(served: Settings) -> None:
    for _ in range(2):
        assert promote_version(served, 3, **ARGUMENTS, request="run 1") == 2
    promote_version(served, 1, **ARGUMENTS)
    assert promote_version(served, 3, **ARGUMENTS, request="run 1") == 2  # done long ago
    assert resolve_version(served).version == 1
