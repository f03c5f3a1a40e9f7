"""Drift is judged by what came with the model in Production; a registry that is down blocks nothing."""

from __future__ import annotations

from datetime import date

from include.quality.drift import DriftReference
from include.quality.reference import NO_MODEL, find_reference
from include.registry.reference import load_reference
from include.registry.resolve import resolve_version
from include.settings import Settings
from tests.conftest import TrainedHome


def test_the_reference_of_production_is_found(trained_home: TrainedHome) -> None:
    found = find_reference(trained_home.settings)
    assert isinstance(found, DriftReference)
    served = load_reference(trained_home.settings, resolve_version(trained_home.settings))
    assert served is not None
    assert found.last_session == served.last_session >= date(2024, 3, 26)


def test_a_home_without_a_model_says_so_and_gets_no_store(settings: Settings) -> None:
    assert find_reference(settings) == NO_MODEL
    assert not settings.mlflow_home.exists()


def test_a_registry_that_does_not_answer_is_said(settings: Settings) -> None:
    gone = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    found = find_reference(gone)
    assert isinstance(found, str)
    assert "the MLflow server must answer" in found
