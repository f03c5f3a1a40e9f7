"""Moves made on MLflow's pages, each found by the next run: followed and written down, or refused and told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pydantic import SecretStr

from include.alerts.episodes import Episode, find_newest
from include.alerts.store import open_store
from include.errors import NotFoundError, UnavailableError
from include.lake.reads import read_all
from include.lake.tables import PROMOTIONS, table_version
from include.registry.api import PRODUCTION
from include.registry.client import connect, quiet_stages
from include.registry.download import GRAPH
from include.registry.ledger import Line, find_faults, read_ledger
from include.registry.open import open_registry
from include.registry.promote import promote_version, replace_version, rollback_version
from include.registry.reconcile import SOMEBODY
from include.registry.resolve import resolve_version
from include.registry.verify import verify_ledger
from include.settings import Settings
from tests.fakes import FakeSlack

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NAME = "closecast"


@pytest.fixture
def client(own: Settings) -> MlflowClient:
    """What a person's hand does on the pages; version 2 served before."""
    assert resolve_version(own).version == 2
    return connect(own)


def move_stage(client: MlflowClient, version: int, stage: str = PRODUCTION, *, archive: bool = True) -> None:
    with quiet_stages():
        client.transition_model_version_stage(NAME, str(version), stage, archive_existing_versions=archive)


def look(settings: Settings) -> tuple[set[int], int | None]:
    state = open_registry(settings).look()
    return set(state.in_production), state.champion


def newest(settings: Settings) -> Line:
    return read_ledger(settings)[-1]


def find_fault(settings: Settings) -> Episode:
    with open_store(settings) as connection:
        found = find_newest(connection, f"registry_fault/{NAME}")
    assert found is not None
    return found


def test_the_first_run_writes_down_what_it_finds(own: Settings) -> None:
    assert resolve_version(own).version == 2
    resolve_version(own)
    (line,) = read_ledger(own)
    assert (line.from_version, line.to_version, line.action, line.who) == (None, 2, "adopt", SOMEBODY)
    assert verify_ledger(own).faults == []


def test_a_stage_moved_on_the_page_serves_and_the_alias_follows(own: Settings, client: MlflowClient) -> None:
    move_stage(client, 1)
    moved_ms = client.get_model_version(NAME, "1").last_updated_timestamp
    found = resolve_version(own)
    assert (found.version, found.note) == (1, None)
    assert look(own) == ({1}, 1)
    line = newest(own)
    assert (line.from_version, line.to_version, line.action, line.who) == (2, 1, "stage", SOMEBODY)
    assert line.moved_at is not None
    assert int(line.moved_at.timestamp() * 1000) == moved_ms
    assert line.at >= line.moved_at
    version = table_version(own.lake, PROMOTIONS)
    resolve_version(own)
    assert table_version(own.lake, PROMOTIONS) == version  # once


def test_an_alias_moved_on_the_page_serves_and_the_stage_follows(own: Settings, client: MlflowClient) -> None:
    client.set_registered_model_alias(NAME, "champion", "3")
    assert resolve_version(own).version == 3
    assert look(own) == ({3}, 3)
    assert (newest(own).action, newest(own).from_version, newest(own).moved_at) == ("alias", 2, None)
    assert verify_ledger(own).faults == []


def test_an_alias_that_was_taken_away_comes_back(own: Settings, client: MlflowClient) -> None:
    client.delete_registered_model_alias(NAME, "champion")
    assert resolve_version(own).version == 2
    assert look(own) == ({2}, 2)
    assert len(read_ledger(own)) == 1


def test_two_in_production_change_nothing_and_are_told_once(own: Settings, client: MlflowClient) -> None:
    move_stage(client, 1, archive=False)
    notes = [resolve_version(own) for _ in range(2)]
    assert [found.version for found in notes] == [2, 2]
    assert notes[0].note == "versions 1 and 2 are all in Production: the last good version serves"
    first = find_fault(own)
    assert (first.status, first.count) == ("open", 1)
    assert look(own) == ({1, 2}, 2)  # nobody's move is undone
    move_stage(client, 2, "Archived", archive=False)
    found = resolve_version(own)
    assert (found.version, found.note) == (1, None)
    assert find_fault(own).note == "Version 1 (last_close) serves."
    move_stage(client, 2, archive=False)
    resolve_version(own)
    assert (find_fault(own).status, find_fault(own).id == first.id) == ("open", False)  # it is a new one


def test_stage_and_alias_moved_apart_go_to_slack_and_a_promotion_ends_it(own: Settings, client: MlflowClient) -> None:
    move_stage(client, 1)
    client.set_registered_model_alias(NAME, "champion", "3")
    with FakeSlack() as slack:
        settings = Settings(home=own.home, slack_webhook_url=slack.url, _env_file=None)
        assert resolve_version(settings).version == 2
        assert resolve_version(settings).version == 2
    (post,) = slack.posts
    assert "version 1 is in Production, but the alias champion names version 3" in post["text"]
    assert "docs/runbooks/registry_fault.md" in str(post["blocks"])
    assert promote_version(own, 3, who="ada", why="the alias was meant") == 2
    assert look(own) == ({3}, 3)
    assert (resolve_version(own).version, resolve_version(own).note) == (3, None)


def test_a_deleted_version_gives_way_to_the_one_before(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="ada", why="better")
    client.delete_model_version(NAME, "3")
    found = resolve_version(own)
    assert found.version == 2
    assert "version 3, which served, was deleted" in str(found.note)
    assert look(own) == ({2}, 2)
    assert (newest(own).action, newest(own).from_version, newest(own).who) == ("fallback", 3, "closecast")
    assert resolve_version(own).note is None


def test_the_only_version_that_served_is_deleted_and_its_copy_serves_on(own: Settings, client: MlflowClient) -> None:
    client.delete_model_version(NAME, "2")
    found = resolve_version(own)
    assert found.version == 2
    assert "no other that served is left" in str(found.note)
    assert len(read_ledger(own)) == 1


def test_a_move_to_a_damaged_version_is_not_followed(own: Settings, client: MlflowClient) -> None:
    whole = client.get_model_version(NAME, "3").tags["onnx_sha256"]
    client.set_model_version_tag(NAME, "3", "onnx_sha256", "0" * 64)
    move_stage(client, 3)
    found = resolve_version(own)
    assert found.version == 2
    assert "version 3 cannot serve: an artifact must have the hash it was registered with" in str(found.note)
    assert len(read_ledger(own)) == 1
    with pytest.raises(NotFoundError, match="hash it was registered with"):
        promote_version(own, 3, who="ada", why="all the same")
    assert look(own)[0] == {3}
    client.set_model_version_tag(NAME, "3", "onnx_sha256", whole)  # the artifact is whole again
    assert (resolve_version(own).version, newest(own).action) == (3, "stage")


def test_a_rollback_to_what_serves_ends_a_move_to_a_damaged_version(own: Settings, client: MlflowClient) -> None:
    """What the runbook of `artifact_damaged` says; without a version it goes behind what serves."""
    promote_version(own, 1, who="ada", why="first")
    promote_version(own, 2, who="ada", why="then")
    client.set_model_version_tag(NAME, "3", "onnx_sha256", "0" * 64)
    move_stage(client, 3)
    assert resolve_version(own).note is not None
    assert rollback_version(own, to=2, who="ada", why="3 is damaged") == (2, 2)
    found = resolve_version(own)
    assert (found.version, found.note, look(own)) == (2, None, ({2}, 2))
    with open_store(own) as connection:
        over = find_newest(connection, f"artifact_damaged/{NAME}")
    assert over is not None
    assert over.status == "recovered"
    move_stage(client, 3)
    assert rollback_version(own, to=None, who="ada", why="3 is damaged") == (2, 1)


def leave_two(client: MlflowClient) -> None:
    move_stage(client, 1, archive=False)


def part_them(client: MlflowClient) -> None:
    move_stage(client, 1)
    client.set_registered_model_alias(NAME, "champion", "3")


def leave_none(client: MlflowClient) -> None:
    move_stage(client, 2, "Archived", archive=False)


def delete_it(client: MlflowClient) -> None:
    client.delete_model_version(NAME, "2")


def name_one_without_a_lookback(client: MlflowClient) -> None:
    client.set_model_version_tag(NAME, "3", "lookback", "ten")
    move_stage(client, 3)


def name_a_damaged_one(client: MlflowClient) -> None:
    client.set_model_version_tag(NAME, "3", "onnx_sha256", "0" * 64)
    client.set_registered_model_alias(NAME, "champion", "3")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (leave_two, "versions 1 and 2 are all in Production"),
        (part_them, "version 1 is in Production, but the alias champion names version 3"),
        (leave_none, "no version is in Production"),
        (delete_it, "version 2, which served, was deleted from the registry"),
        (name_one_without_a_lookback, "version 3 cannot serve: a version's tag lookback must be a number of sessions"),
        (name_a_damaged_one, "version 3 cannot serve: an artifact must have the hash it was registered with"),
    ],
)
def test_whatever_cannot_be_followed_the_last_good_version_serves_and_slack_hears_once(
    own: Settings, client: MlflowClient, harm: Callable[[MlflowClient], None], said: str
) -> None:
    harm(client)
    with FakeSlack() as slack:
        settings = own.model_copy(update={"slack_webhook_url": SecretStr(slack.url)})
        found = [resolve_version(settings) for _ in range(2)]
    assert [each.version for each in found] == [2, 2]
    assert said in str(found[0].note)
    (post,) = slack.posts
    assert said in post["text"]
    kind = "artifact_damaged" if "cannot serve" in said else "registry_fault"
    assert f"docs/runbooks/{kind}.md" in str(post["blocks"])
    assert verify_ledger(own).faults == []


def test_a_graph_that_was_damaged_in_the_store_is_not_served(own: Settings, client: MlflowClient) -> None:
    stored = Path(_find_stored(client, "3")) / GRAPH
    whole = stored.read_bytes()
    move_stage(client, 3)
    try:
        stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        found = resolve_version(own)
        stored.unlink()
        gone = resolve_version(own)
    finally:
        stored.write_bytes(whole)  # the artifacts are the trained home's
    assert (found.version, gone.version) == (2, 2)
    assert "must have the hash it was registered with" in str(found.note)
    assert "must be in the registry's store" in str(gone.note)
    assert (resolve_version(own).version, resolve_version(own).note) == (3, None)


def _find_stored(client: MlflowClient, version: str) -> str:
    model_id = client.get_model_version(NAME, version).source.removeprefix("models:/")
    return client.get_logged_model(model_id).artifact_location.removeprefix("file://")


def test_what_serves_is_damaged_and_gives_way_until_it_is_whole(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="ada", why="better")
    whole = client.get_model_version(NAME, "3").tags["onnx_sha256"]
    client.set_model_version_tag(NAME, "3", "onnx_sha256", "0" * 64)
    assert [resolve_version(own).version for _ in range(2)] == [3, 3]  # its copy is what was promoted
    assert "must have the graph that was promoted" in str(resolve_version(own).note)
    shutil.rmtree(own.model_cache)
    assert [resolve_version(own).version for _ in range(2)] == [2, 2]
    assert (newest(own).action, newest(own).to_version) == ("fallback", 2)
    assert look(own) == ({3}, 3)
    client.set_model_version_tag(NAME, "3", "onnx_sha256", whole)
    assert resolve_version(own).version == 3
    assert find_faults(read_ledger(own)) == []


def swap_graphs(client: MlflowClient) -> tuple[str, str]:
    """Do what a store does that was lost and made anew: give the numbers 1 and 2 to each other's graphs."""
    import sqlite3
    from contextlib import closing

    path = client.tracking_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database:
        for table in ("model_versions", "model_version_tags"):
            for before, after in ((1, 91), (2, 1), (91, 2)):
                database.execute(f"UPDATE {table} SET version = ? WHERE version = ?", [after, before])
        database.execute("UPDATE model_versions SET current_stage = 'None'")
        database.execute("UPDATE model_versions SET current_stage = 'Production' WHERE version = 2")
        database.commit()
    one, two = (client.get_model_version(NAME, version).tags["onnx_sha256"] for version in ("1", "2"))
    return one, two


def test_a_number_that_a_new_store_gave_to_another_graph_is_not_what_was_promoted(
    own: Settings, client: MlflowClient
) -> None:
    promoted = newest(own).graph_sha256
    one, two = swap_graphs(client)
    assert one == promoted != two
    with FakeSlack() as slack:
        settings = own.model_copy(update={"slack_webhook_url": SecretStr(slack.url)})
        found = resolve_version(settings)
    assert (found.version, found.kind, found.onnx_sha256) == (2, "ridge", promoted)
    (post,) = slack.posts
    assert f"version 2 must have the graph that was promoted, {str(promoted)[:16]}" in post["text"]
    with pytest.raises(NotFoundError, match="must have the graph that was promoted"):
        rollback_version(own, to=2, who="ada", why="the number served")
    assert len(read_ledger(own)) == 1
    assert promote_version(own, 2, who="ada", why="the new one is meant") == 2
    assert (newest(own).graph_sha256, resolve_version(own).note) == (two, None)
    assert verify_ledger(own).faults == []


def test_a_stage_moved_to_a_number_that_served_with_another_graph_is_not_followed(
    own: Settings, client: MlflowClient
) -> None:
    promote_version(own, 1, who="ada", why="to see")
    promote_version(own, 2, who="ada", why="seen")
    swap_graphs(client)
    promote_version(own, 2, who="ada", why="the new one is meant")
    move_stage(client, 1)
    found = resolve_version(own)
    assert found.version == 2
    assert "version 1 must have the graph that was promoted" in str(found.note)


def test_a_ledger_of_an_earlier_release_goes_on_and_is_bound_to_its_copy(own: Settings, client: MlflowClient) -> None:
    line = replace(newest(own), graph_sha256=None, hash="").sealed()
    old = pa.schema([field for field in PROMOTIONS.schema if field.name != "graph_sha256"])
    rows = pa.Table.from_pylist([{name: getattr(line, name) for name in old.names}], old)
    shutil.rmtree(PROMOTIONS.path(own.lake))
    write_deltalake(PROMOTIONS.path(own.lake), rows)
    assert find_faults(read_ledger(own)) == []
    promoted = resolve_version(own).onnx_sha256
    swap_graphs(client)
    assert resolve_version(own).onnx_sha256 == promoted
    promote_version(own, 3, who="ada", why="better")
    assert [each.graph_sha256 is None for each in read_ledger(own)] == [True, False]
    assert find_faults(read_ledger(own)) == []


def test_a_promotion_that_a_person_overtook_gives_way(own: Settings, client: MlflowClient) -> None:
    said = {"who": "weekly", "why": "passed", "detail": "{}", "request": "weekly-1 promote"}
    move_stage(client, 1)
    assert replace_version(own, 3, instead_of=(2, 3), graph=None, **said) == "version 1 serves by now"
    client.set_registered_model_alias(NAME, "champion", "3")
    move_stage(client, 2)
    assert "the alias champion names version 3" in replace_version(own, 3, instead_of=(1, 3), graph=None, **said)
    assert [line.action for line in read_ledger(own)] == ["adopt", "stage"]
    client.set_registered_model_alias(NAME, "champion", "2")
    with pytest.raises(NotFoundError, match="must have the graph that was promoted"):
        replace_version(own, 3, instead_of=(2, 3), graph="0" * 64, **said)
    assert replace_version(own, 3, instead_of=(2, 3), graph=None, **said) == ""
    assert (newest(own).action, newest(own).to_version) == ("promote", 3)


def test_a_move_to_a_version_whose_graph_cannot_be_run_is_not_followed(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="ada", why="better")
    client.set_model_version_tag(NAME, "2", "lookback", "4")
    move_stage(client, 2)
    found = resolve_version(own)
    assert found.version == 3
    assert "version 2 cannot serve: a version's graph must turn windows (n, 4, 6) into" in str(found.note)
    with pytest.raises(NotFoundError, match=r"log returns \(n, 2\)\. Received: .*invalid dimensions"):
        rollback_version(own, to=2, who="ada", why="all the same")
    assert [line.action for line in read_ledger(own)] == ["adopt", "promote"]


def test_a_rollback_passes_over_a_version_that_is_damaged(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="ada", why="better")
    promote_version(own, 1, who="ada", why="better still")
    client.set_model_version_tag(NAME, "3", "onnx_sha256", "0" * 64)
    assert rollback_version(own, to=None, who="ada", why="worse") == (1, 2)
    assert '"3"' in str(newest(own).detail)


def test_a_move_on_the_page_before_a_command_is_in_the_ledger_too(own: Settings, client: MlflowClient) -> None:
    move_stage(client, 1)
    assert promote_version(own, 3, who="ada", why="better") == 1
    assert [(line.action, line.to_version) for line in read_ledger(own)] == [("adopt", 2), ("stage", 1), ("promote", 3)]
    assert rollback_version(own, to=None, who="ada", why="worse") == (3, 1)


def test_a_registry_that_is_down_stops_no_forecast(own: Settings, client: MlflowClient) -> None:
    down = own.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    found = resolve_version(down)
    assert (found.version, found.kind) == (2, "ridge")
    assert found.onnx is not None
    assert "the registry is down" in str(found.note)
    assert "ConnectionError" in str(found.note)
    found.onnx.write_bytes(b"damaged")
    with pytest.raises(UnavailableError, match="the MLflow server must answer"):
        resolve_version(down)


def test_a_promotion_is_what_a_registry_that_is_down_leaves(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="ada", why="better")
    down = own.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    assert resolve_version(down).version == 3
    with pytest.raises(UnavailableError):
        rollback_version(down, to=None, who="ada", why="worse")
    assert len(read_ledger(own)) == 2
    assert verify_ledger(down).note is not None


def test_a_home_that_is_copied_with_its_ledger_cut_is_found_out(own: Settings, client: MlflowClient) -> None:
    before = Path(PROMOTIONS.path(own.lake))
    shutil.copytree(before, own.home / "kept")
    promote_version(own, 3, who="ada", why="better")
    assert verify_ledger(own).faults == []
    shutil.rmtree(before)
    shutil.move(own.home / "kept", before)
    assert verify_ledger(own).faults == ["line 2, which the registry knows, is missing"]


def cut_last_line(settings: Settings) -> None:
    rows = [
        row for row in read_all(settings.lake, PROMOTIONS).to_pylist() if row["sequence"] < len(read_ledger(settings))
    ]
    write_deltalake(PROMOTIONS.path(settings.lake), pa.Table.from_pylist(rows, PROMOTIONS.schema), mode="overwrite")


def test_a_line_written_behind_a_cut_does_not_hide_it(own: Settings, client: MlflowClient) -> None:
    promote_version(own, 3, who="eve", why="unseen")
    cut_last_line(own)
    for version in (1, 2, 3):
        promote_version(own, version, who="ada", why="better")
    assert find_faults(read_ledger(own)) == []
    assert verify_ledger(own).faults == ["line 2 is another than the registry knows"]


@pytest.mark.parametrize("is_served", [True, False], ids=["cache kept", "cache removed"])
def test_a_ledger_that_is_gone_altogether_is_found_out(own: Settings, client: MlflowClient, is_served: bool) -> None:
    shutil.rmtree(PROMOTIONS.path(own.lake))
    if not is_served:
        shutil.rmtree(own.model_cache)
    assert verify_ledger(own).faults == ["every line is missing"]


def test_a_home_in_which_nothing_served_has_no_line_to_miss(settings: Settings) -> None:
    assert verify_ledger(settings).faults == []
