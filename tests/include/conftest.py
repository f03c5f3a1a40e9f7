"""A retrain whose two models were fitted once, and copies of it beside a registry of a test's own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from include.lake.bars import BarCube
from include.registry.client import connect, quiet_stages
from include.settings import Settings
from include.training.fit import fit_model
from include.training.record import Retrain, begin_retrain, open_retrain
from include.training.register import register_fits
from tests.conftest import TrainedHome
from tests.include.registry.conftest import copy_registry

RETRAIN_ID = "weekly-1"
LAST = date(2024, 3, 26)
"""Other tests have let newer sessions arrive by now."""


@dataclass(frozen=True)
class Own:
    """A home with last_close and ridge fitted, and a registry: 1 last_close, 2 ridge in Production, 3 as 1."""

    settings: Settings
    retrain: Retrain
    cube: BarCube


@pytest.fixture(scope="session")
def fitted_home(trained_home: TrainedHome, tmp_path_factory: pytest.TempPathFactory) -> Own:
    home = tmp_path_factory.mktemp("fitted")
    scored = ("predictions", "adhoc_predictions", "scoring_runs", "outcomes", "calibrations")
    others = shutil.ignore_patterns("promotions", *scored)
    shutil.copytree(trained_home.settings.lake, home / "lake", ignore=others)
    settings = Settings(home=home, train_windows=5000, holdout_sessions=20, registry_wait_s=0, _env_file=None)
    retrain, cube = begin_retrain(settings, RETRAIN_ID, names=["last_close", "ridge"], last_session=LAST)
    for name in retrain.names:
        fit_model(settings, retrain, name, cube=cube)
    return Own(settings, retrain, cube)


def copy_home(home: Own, target: Path) -> Own:
    """Copy lake, records and, where there is one, registry; artifacts stay where they lie."""
    shutil.copytree(home.settings.home, target, dirs_exist_ok=True)
    settings = home.settings.model_copy(update={"home": target})
    return Own(settings, open_retrain(settings, RETRAIN_ID), home.cube)


@pytest.fixture
def own(fitted_home: Own, trained_home: TrainedHome, tmp_path: Path) -> Own:
    copy_registry(trained_home, tmp_path / "home")
    return copy_home(fitted_home, tmp_path / "home")


@pytest.fixture(scope="session")
def registered_home(fitted_home: Own, trained_home: TrainedHome, tmp_path_factory: pytest.TempPathFactory) -> Own:
    """Its last_close is version 3, whose graph and code are the same; its ridge is version 4, and its own."""
    home = tmp_path_factory.mktemp("registered") / "home"
    copy_registry(trained_home, home)
    own = copy_home(fitted_home, home)
    register_fits(own.settings, own.retrain, say=lambda said: None)
    return own


@pytest.fixture
def registered(registered_home: Own, tmp_path: Path) -> Own:
    return copy_home(registered_home, tmp_path / "home")


def serve_nothing(settings: Settings) -> None:
    """Take everything out of Production, as if nothing had ever served."""
    client = connect(settings)
    client.delete_registered_model_alias(settings.model_name, "champion")
    with quiet_stages():
        client.transition_model_version_stage(settings.model_name, "2", "None")
