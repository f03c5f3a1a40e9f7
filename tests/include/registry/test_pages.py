"""A rollback on MLflow's own pages, by alias and by stage, as a person makes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.chromium import find_chromium
from benchmarks.ui_rollback import NEWER, OLDER, roll_back
from include.lake.bars import newest_session
from include.settings import Settings
from include.system.credentials import PROMOTER
from tests.conftest import TrainedHome

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.mark.skipif(not find_chromium(), reason="Chromium is not installed: apt install chromium")
def test_the_next_scoring_run_serves_the_older_version(
    guarded: Settings, trained_home: TrainedHome, tmp_path: Path
) -> None:
    if not guarded.lake.exists():
        shutil.copytree(trained_home.settings.lake, guarded.lake, ignore=shutil.ignore_patterns("promotions"))
    found = roll_back(guarded, newest_session(guarded.lake), tmp_path)
    assert {way: each.served for way, each in found.items()} == {"alias": OLDER, "stage": OLDER}
    lines = [(each.line.from_version, each.line.to_version, each.line.action, each.line.who) for each in found.values()]
    assert lines == [(NEWER, OLDER, "alias", PROMOTER), (NEWER, OLDER, "stage", PROMOTER)]
    assert len(list(tmp_path.glob("*.png"))) == 7
