"""A home whose sessions were scored, and ways to change it behind its back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.ingest.ingest import ingest_upload
from include.monitoring.outcomes import settle
from include.quality.session import validate_session
from include.registry.promote import promote_version
from include.scoring.score import score_session
from include.settings import Settings
from tests.conftest import TrainedHome
from tests.include.registry.conftest import copy_registry

LAST = date(2024, 3, 26)
"""The newest session of the history; three of it are scored, and the next one has arrived."""

SCORED = [LAST - timedelta(days=back) for back in (2, 1, 0)]
SYMBOL = "sim03"


@dataclass(frozen=True)
class Scored:
    """A home of a test's own, and the upload of the session after the newest."""

    settings: Settings
    uploads: dict[date, Path]


@pytest.fixture(scope="session")
def scored_home(trained_home: TrainedHome, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Three sessions scored by version 2 (ridge), the newest by two shards; the session after it settled."""
    home = tmp_path_factory.mktemp("scored") / "home"
    settings = copy_registry(trained_home, home)
    exchange = trained_home.settings.home / "exchange"
    ingest_upload(settings, next(exchange.glob("history*")))
    promote_version(settings, 1, who="bob", why="to begin with")
    promote_version(settings, 2, who="ada", why="the gate [passed] it")
    for day in SCORED:
        validate_session(settings, day)
        shards = 2 if day == LAST else 1
        score_session(settings.model_copy(update={"shards": shards}), day, run_id=f"market_close/run-{day}")
    ingest_upload(settings, trained_home.uploads[LAST + timedelta(days=1)])
    settle(settings, LAST + timedelta(days=1))
    return Scored(settings, trained_home.uploads)


@pytest.fixture
def scored(scored_home: Scored, tmp_path: Path) -> Scored:
    """A copy; artifacts of MLflow stay where they lie."""
    home = tmp_path / "home"
    shutil.copytree(scored_home.settings.home, home)
    return Scored(scored_home.settings.model_copy(update={"home": home}), scored_home.uploads)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a data file anew in its place, each row as `change` gives it."""
    with pq.ParquetFile(path) as file:
        rows = file.read()
    path.chmod(0o644)
    pq.write_table(pa.Table.from_pylist([change(row) for row in rows.to_pylist()], rows.schema), path)
