"""Fixtures shared by all tests: settings in a temporary home, a small simulated exchange, the real data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose state is this test's own folder."""
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data, or a visible skip."""
    folder = Path(os.environ.get("CLOSECAST_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real market data not found at {folder}: set CLOSECAST_SHARED_DATA")
    return folder
