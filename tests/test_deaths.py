"""Deaths in a running Airflow: each is told once, and its end once. All of them: `python -m benchmarks.deaths`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from benchmarks.death_lanes import CALLBACK, CHEAP
from benchmarks.death_trials import Trial, let_die
from benchmarks.running import Running, copy_dags, run_system
from benchmarks.told import Ears
from tests.conftest import make_trained_home
from tests.fakes import FakeSlack

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(420)]

PREDICT = "run_failed/predict_on_demand"
QUIET_S = 8.0


@dataclass(frozen=True)
class Stage:
    """A running system, and who hears what it says."""

    running: Running
    ears: Ears


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A trained home of its own with everything up."""
    home = make_trained_home(tmp_path_factory.mktemp("dying"))
    dags = copy_dags(tmp_path_factory.mktemp("deaths") / "dags")
    with FakeSlack() as slack:
        update = {"slack_webhook_url": SecretStr(slack.url), "alerts_off": "forecasts_old, upload_missing"}
        settings = home.settings.model_copy(update=update)
        with run_system(settings, dags, lambda said: None) as running:
            yield Stage(running, Ears(slack, settings))


def assert_told_once(stage: Stage, trial: Trial) -> None:
    """Let a run die and take it up again; nobody hears more than one word of each."""
    died = let_die(stage.running, trial)
    assert died.state == "failed"
    assert stage.ears.await_told(PREDICT, since=died.began_at)
    assert stage.running.run_again(trial.dag_id, died.run_id) == "success"
    assert stage.ears.await_told(PREDICT, since=died.began_at, is_over=True)
    time.sleep(QUIET_S)
    said = [each for each in stage.ears.hear() if each.at > died.began_at]
    assert [each.is_over for each in said] == [False, True]
    assert {each.key for each in said} == {PREDICT}
    assert len({each.incident for each in said}) == 1


@pytest.mark.parametrize("way", CHEAP.values(), ids=CHEAP)
def test_a_death_of_the_work_is_told_once(stage: Stage, way: str) -> None:
    assert_told_once(stage, Trial("by itself", "predict_on_demand", way, "predict"))


def test_a_death_is_told_where_the_task_s_own_callback_raises(stage: Stage) -> None:
    assert_told_once(stage, Trial("silenced", "predict_on_demand", "exception", "predict", silenced=CALLBACK))
