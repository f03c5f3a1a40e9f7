"""`closecast models`: history, who served when, verify; each with --json."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from include.cli import app
from include.commands.models import parse_moment
from include.errors import ClosecastError, InputError
from include.lake.reads import read_all
from include.lake.tables import PROMOTIONS
from include.registry.client import connect
from include.registry.promote import promote_version, rollback_version
from include.settings import load_settings
from include.training.done import run_step, write_json
from tests.include.registry.conftest import copy_registry


@pytest.fixture(autouse=True)
def own(tmp_path, trained_home, monkeypatch):
    """A home where 2 served, then 3, then 2 again."""
    settings = copy_registry(trained_home, tmp_path / "home")
    promote_version(settings, 3, who="ada", why="better [b]")
    rollback_version(settings, to=None, who="bob", why="worse")
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


def run(*words: str):
    done = CliRunner().invoke(app, ["models", *words, "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


def test_history_shows_each_change(own) -> None:
    lines = run("history")["history"]
    assert [(line["from_version"], line["to_version"], line["action"]) for line in lines] == [
        (None, 2, "adopt"),
        (2, 3, "promote"),
        (3, 2, "rollback"),
    ]
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "history"]).stdout
    assert "better [b]" in shown


def test_history_at_a_moment_says_who_served(own) -> None:
    _, promoted, rolled = run("history")["history"]
    assert run("history", "--at", promoted["at"])["version"] == 3
    assert run("history", "--at", rolled["at"])["line"]["who"] == "bob"
    assert run("history", "--at", "2001-01-01T00:00Z") == {
        "at": "2001-01-01T00:00:00+00:00",
        "version": None,
        "line": None,
    }


def test_a_moment_has_a_zone_or_is_utc() -> None:
    assert parse_moment("2026-03-01T00:00Z") == parse_moment("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_moment("2026-03-01T01:00+01:00") == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(InputError, match=r"as 2026-03-01T00:00Z\. Received: then"):
        parse_moment("then")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59-12:00", "0001-01-01T00:00+12:00"])
def test_a_moment_beyond_the_calendar_is_refused(moment: str) -> None:
    with pytest.raises(InputError, match=r"as 2026-03-01T00:00Z\. Received: "):
        parse_moment(moment)


def test_verify_passes_and_finds_a_changed_line(own) -> None:
    assert run("verify") == {"lines": 3, "faults": [], "note": None}
    rows = read_all(own.lake, PROMOTIONS).to_pylist()
    forged = [row | {"who": "nobody"} if row["action"] == "promote" else row for row in rows]
    write_deltalake(PROMOTIONS.path(own.lake), pa.Table.from_pylist(forged, PROMOTIONS.schema), mode="overwrite")
    with pytest.raises(ClosecastError, match=r"as it was written\. Received: line 2 was changed"):
        run("verify")


def test_rollback_names_both_versions(own) -> None:
    assert run("rollback", "--to", "1", "--why", "to see") == {"from_version": 2, "to_version": 1, "files": []}
    assert run("promote", "3", "--why", "to see") == {"from_version": 1, "to_version": 3, "files": []}
    assert {row["version"]: row["stage"] for row in run("list")["versions"]} == {
        1: "Archived",
        2: "Archived",
        3: "Production",
    }


def test_a_rollback_to_what_serves_says_so_and_writes_nothing(own) -> None:
    before = run("history")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "rollback", "--to", "2", "--why", "to see"])
    assert (done.exit_code, done.stdout) == (0, "Production: version 2 serves already\n")
    assert run("history") == before


def test_the_list_shows_aliases_and_what_a_gate_has_said_whatever_a_tag_says(own) -> None:
    client = connect(own)
    client.set_model_version_tag("closecast", "3", "gate", "passed")
    client.set_registered_model_alias("closecast", "spare", "3")
    graph = client.get_model_version("closecast", "2").tags["onnx_sha256"]
    said = {"gate": {"ridge": "held back"}, "graphs": {"ridge": graph}, "holdout_from": "2024-03-07"}
    run_step(own.training / "weekly" / "gate", lambda folder: write_json(folder / "verdict.json", said))
    found = {row["version"]: (row["aliases"], row["gate"]) for row in run("list")["versions"]}
    assert found == {1: ([], None), 2: (["champion"], "held back"), 3: (["spare"], None)}
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "list"]).stdout
    assert re.search(r"2\W+ridge\W+Production\W+champion\W+held back", shown)
    assert run("show", "3")["gate"] is None
    assert "no gate of this home" in CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "show", "3"]).stdout


def test_versions_whose_runs_were_removed_are_listed_without_their_errors(own) -> None:
    import sqlite3
    from contextlib import closing

    run_id = run("show", "2")["run_id"]
    with closing(sqlite3.connect(own.home / "mlflow" / "mlflow.db")) as database:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):  # what `mlflow gc` removes of a run
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", [run_id])
        database.commit()
    assert run("show", "2")["metrics"] == {}
    assert {row["version"] for row in run("list")["versions"]} == {1, 2, 3}
