"""Which version serves: promoted, rolled back, resolved, and verified by its hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import NotFoundError, UnavailableError
from include.lake.reads import read_all
from include.lake.tables import PROMOTIONS
from include.registry.api import CHAMPION
from include.registry.artifact import hash_file
from include.registry.client import connect, quiet_stages
from include.registry.ledger import read_ledger
from include.registry.promote import keep_version, promote_version, rollback_version
from include.registry.resolve import resolve_version
from include.registry.verify import verify_ledger
from include.registry.versions import list_versions
from include.settings import Settings
from tests.conftest import TrainedHome


@pytest.fixture
def settings(tmp_path: Path, trained_home: TrainedHome) -> Settings:
    """A home with its own promotions and cache; the registry is the trained one's, its Production restored after."""
    uri = trained_home.settings.tracking_uri
    return Settings(home=tmp_path / "home", mlflow_tracking_uri=uri, _env_file=None)


def test_promotion_moves_stage_and_alias_and_is_written_down(settings: Settings) -> None:
    promote_version(settings, 1, who="ada", why="to see")
    promote_version(settings, 2, who="ada", why="back")
    by_version = {row.version: row for row in list_versions(settings)}
    assert by_version[2].stage == "Production"
    assert by_version[2].aliases == [CHAMPION]
    assert by_version[1].stage == "Archived"
    assert by_version[1].aliases == []
    changes = read_all(settings.lake, PROMOTIONS).sort_by("at").to_pylist()
    assert [(row["from_version"], row["to_version"], row["who"], row["why"]) for row in changes[-1:]] == [
        (1, 2, "ada", "back")
    ]


def test_rollback_goes_to_the_version_that_served_before(settings: Settings) -> None:
    promote_version(settings, 1, who="ada", why="first")
    promote_version(settings, 2, who="ada", why="second")
    assert rollback_version(settings, to=None, who="ada", why="worse") == (2, 1)
    assert resolve_version(settings).version == 1
    assert rollback_version(settings, to=2, who="ada", why="not worse") == (1, 2)
    assert resolve_version(settings).version == 2


def test_rollback_without_an_earlier_version_is_refused(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="a version must have served before"):
        rollback_version(settings, to=None, who="ada", why="nothing was")


def test_a_damaged_graph_is_fetched_again(settings: Settings) -> None:
    model = resolve_version(settings, 2)
    assert model.onnx is not None
    model.onnx.write_bytes(b"damaged")
    again = resolve_version(settings, 2)
    assert again.onnx == model.onnx
    assert hash_file(model.onnx) == model.onnx_sha256


def test_an_unknown_version_is_named(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="must be registered, with this version.*99"):
        resolve_version(settings, 99)
    with pytest.raises(NotFoundError, match=r"must be registered, with this version\. Received: 99"):
        promote_version(settings, 99, who="ada", why="none")


def test_a_registry_without_a_production_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="must be registered|must be in Production"):
        resolve_version(Settings(home=tmp_path, _env_file=None))


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mlflow_tracking_uri="http://127.0.0.1:9", _env_file=None)
    with pytest.raises(UnavailableError, match="the MLflow server must answer"):
        resolve_version(settings)


def test_rolling_back_twice_goes_back_twice_and_promoting_again_changes_nothing(settings: Settings) -> None:
    for version in (1, 2, 2):
        promote_version(settings, version, who="ada", why="again")
    assert rollback_version(settings, to=None, who="ada", why="worse") == (2, 1)
    promote_version(settings, 2, who="ada", why="restore")
    with pytest.raises(NotFoundError, match="this version"):
        promote_version(settings, 77, who="ada", why="never was")
    assert rollback_version(settings, to=None, who="ada", why="worse") == (2, 1)
    assert rollback_version(settings, to=None, who="ada", why="worse") == (1, 2)  # was there when the ledger began
    with pytest.raises(NotFoundError, match="must have served before"):
        rollback_version(settings, to=None, who="ada", why="nothing before")


def test_keeping_what_serves_is_written_down_and_moves_nothing(settings: Settings) -> None:
    promote_version(settings, 1, who="ada", why="first")
    promote_version(settings, 2, who="ada", why="second")
    for request, why in (("run 1", "not better"), ("run 1", "asked again"), ("run 2", "nor this one")):
        assert keep_version(settings, who="gate", why=why, detail='{"p": 0.4}', request=request) == 2
    lines = [(line.from_version, line.to_version, line.action, line.why) for line in read_ledger(settings)[-2:]]
    assert lines == [(2, 2, "keep", "not better"), (2, 2, "keep", "nor this one")]
    assert read_ledger(settings)[-1].detail == '{"p": 0.4}'
    assert verify_ledger(settings).faults == []
    assert resolve_version(settings).version == 2
    assert rollback_version(settings, to=None, who="ada", why="worse") == (2, 1)  # a line that kept is no way back
    promote_version(settings, 2, who="ada", why="restore")


def test_a_home_where_nothing_serves_yet_keeps_nothing(own: Settings) -> None:
    client = connect(own)
    client.delete_registered_model_alias("closecast", CHAMPION)
    with quiet_stages():
        client.transition_model_version_stage("closecast", "2", "Archived")
    assert keep_version(own, who="gate", why="worse than last close", detail=None, request="run 1") is None
    (line,) = read_ledger(own)
    assert (line.from_version, line.to_version, line.action) == (None, None, "keep")
    assert verify_ledger(own).faults == []
    with pytest.raises(NotFoundError, match="must be in Production"):
        resolve_version(own)
