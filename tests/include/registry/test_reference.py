"""The drift reference of a version: logged by training, fetched once, verified by its hash."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include.errors import NotFoundError
from include.quality.drift import build_reference
from include.registry.reference import load_reference
from include.registry.resolve import resolve_version
from include.settings import Settings
from include.training.snapshot import read_snapshot, take_snapshot
from tests.conftest import TrainedHome

HISTORY_ENDS, HISTORY_VERSION = date(2024, 3, 26), 1
"""Of the history that version 2 was trained on; other tests let newer rows arrive."""


@pytest.fixture
def settings(tmp_path: Path, trained_home: TrainedHome) -> Settings:
    """The trained home's registry behind an empty cache."""
    return Settings(home=tmp_path, mlflow_tracking_uri=trained_home.settings.tracking_uri, _env_file=None)


def test_training_keeps_the_reference_of_its_snapshot(settings: Settings, trained_home: TrainedHome) -> None:
    snapshot = replace(take_snapshot(trained_home.settings, last_session=HISTORY_ENDS), bars_version=HISTORY_VERSION)
    cube = read_snapshot(trained_home.settings, snapshot)
    found = load_reference(settings, resolve_version(settings, 2))
    assert found is not None
    assert found.last_session == snapshot.last_session
    assert found.to_json() == build_reference(cube.values, cube.sessions).to_json()


def test_it_is_cached_and_a_damaged_copy_is_fetched_again(settings: Settings) -> None:
    version = resolve_version(settings, 2)
    first = load_reference(settings, version)
    (cached,) = settings.model_cache.rglob("*.drift_reference.json")
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-1])
    again = load_reference(settings, version)
    assert first is not None
    assert again is not None
    assert again.to_json() == first.to_json()
    assert cached.read_bytes() == whole
    nowhere = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    assert load_reference(nowhere, version) is not None  # without asking anyone


def test_another_hash_than_registered_is_refused(settings: Settings) -> None:
    version = replace(resolve_version(settings, 2), drift_sha256="0" * 64)
    with pytest.raises(NotFoundError, match="must have the hash it was registered with"):
        load_reference(settings, version)
    assert not list(settings.model_cache.rglob("*.drift_reference.json"))


def test_a_version_without_a_reference_has_none(settings: Settings) -> None:
    assert load_reference(settings, replace(resolve_version(settings, 2), drift_sha256=None)) is None
