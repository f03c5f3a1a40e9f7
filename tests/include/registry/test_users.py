"""MLflow's own users: who may look, who may move, and that a move on its pages is in the ledger by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from pydantic import SecretStr

from include.errors import UnavailableError
from include.registry.api import CHAMPION
from include.registry.client import EXPERIMENT, connect
from include.registry.ledger import read_ledger
from include.registry.moves import RESERVED
from include.registry.open import open_registry
from include.registry.promote import promote_version
from include.registry.reconcile import SOMEBODY
from include.registry.register import register_graph
from include.registry.resolve import resolve_version
from include.registry.versions import list_versions
from include.scoring.graph import load_graph, run_graph
from include.settings import Settings
from include.system.credentials import ADMIN, PROMOTER, READER, load_mlflow_passwords

STAGE = {"name": "closecast", "stage": "Production", "archive_existing_versions": True}
ALIAS = {"name": "closecast", "alias": CHAMPION}
TO_STAGE, TO_ALIAS = "model-versions/transition-stage", "registered-models/alias"


@pytest.fixture
def served(guarded: Settings, tmp_path: Path) -> Settings:
    """A home with a ledger of its own, where version 2 serves."""
    settings = guarded.model_copy(update={"home": tmp_path / "other"})
    promote_version(settings, 2, who="tests", why="begin")
    assert resolve_version(settings).version == 2
    return settings


def call(guarded: Settings, user: str | None, method: str, path: str, said: Any) -> requests.Response:
    """Do what MLflow's page does for a user of the home."""
    password = load_mlflow_passwords(guarded)[user].get_secret_value() if user else ""
    return send(guarded, (user, password) if user else None, method, f"ajax-api/2.0/mlflow/{path}", said)


def send(guarded: Settings, auth: tuple[str, str] | None, method: str, path: str, said: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        carried = {"params": said} if method == "GET" else {"json": said}
        return session.request(method, f"{guarded.mlflow_tracking_uri}/{path}", auth=auth, timeout=30, **carried)


def test_nobody_is_refused_and_health_needs_no_login(guarded: Settings) -> None:
    assert call(guarded, None, "GET", "registered-models/get", {"name": "closecast"}).status_code == 401
    assert requests.get(f"{guarded.mlflow_tracking_uri}/health", timeout=30).text == "OK"
    stranger = guarded.model_copy(update={"mlflow_username": "grace", "mlflow_password": SecretStr("hopper")})
    with pytest.raises(UnavailableError, match="must know the user") as caught:
        open_registry(stranger).look()
    assert "hopper" not in str(caught.value)


@pytest.mark.parametrize(("path", "said"), [(TO_STAGE, STAGE), (TO_ALIAS, ALIAS)], ids=["stage", "alias"])
def test_a_reader_looks_and_moves_nothing(guarded: Settings, served: Settings, path: str, said: dict[str, Any]) -> None:
    assert call(guarded, READER, "GET", "registered-models/get", {"name": "closecast"}).ok
    assert call(guarded, READER, "POST", path, said | {"version": "1"}).status_code == 403
    assert resolve_version(served).version == 2
    assert read_ledger(served)[-1].to_version == 2
    password = load_mlflow_passwords(guarded)[READER]
    reader = served.model_copy(update={"mlflow_username": READER, "mlflow_password": password})
    with pytest.raises(UnavailableError, match="must let the user do this"):
        promote_version(reader, 1, who="reader", why="to try")


@pytest.mark.parametrize(
    ("path", "said", "action"), [(TO_STAGE, STAGE, "stage"), (TO_ALIAS, ALIAS, "alias")], ids=["stage", "alias"]
)
def test_a_promoters_move_is_served_and_in_the_ledger_by_name(
    guarded: Settings, served: Settings, path: str, said: dict[str, Any], action: str
) -> None:
    assert call(guarded, PROMOTER, "POST", path, said | {"version": "1"}).ok
    assert resolve_version(served).version == 1
    line = read_ledger(served)[-1]
    assert (line.from_version, line.to_version, line.action, line.who) == (2, 1, action, PROMOTER)
    assert line.moved_at is not None
    assert line.moved_at <= line.at


def test_a_user_that_the_admin_makes_reads_until_she_is_made_a_promoter(guarded: Settings, served: Settings) -> None:
    """The two requests are those of docs/operations.md."""
    admin, ada = (ADMIN, load_mlflow_passwords(guarded)[ADMIN].get_secret_value()), ("ada", "notes-on-the-engine")
    made = {"username": ada[0], "password": ada[1]}
    grant = {"username": "ada", "resource_type": "registered_model", "resource_id": "closecast", "permission": "EDIT"}
    move = ALIAS | {"version": "1"}
    assert send(guarded, admin, "POST", "api/2.0/mlflow/users/create", made).ok
    assert send(guarded, ada, "GET", "api/2.0/mlflow/registered-models/get", {"name": "closecast"}).ok
    assert send(guarded, ada, "POST", f"api/2.0/mlflow/{TO_ALIAS}", move).status_code == 403
    assert send(guarded, ada, "POST", "api/3.0/mlflow/users/permissions/grant", grant).status_code == 403
    assert send(guarded, admin, "POST", "api/3.0/mlflow/users/permissions/grant", grant).ok
    assert send(guarded, ada, "POST", f"api/2.0/mlflow/{TO_ALIAS}", move).ok
    assert resolve_version(served).version == 1
    assert read_ledger(served)[-1].who == "ada"


def test_two_people_who_agree_are_both_named(guarded: Settings, served: Settings) -> None:
    assert call(guarded, PROMOTER, "POST", TO_STAGE, STAGE | {"version": "3"}).ok
    assert call(guarded, ADMIN, "POST", TO_ALIAS, ALIAS | {"version": "3"}).ok
    assert resolve_version(served).version == 3
    assert (read_ledger(served)[-1].action, read_ledger(served)[-1].who) == ("both", f"{PROMOTER}, {ADMIN}")


def test_who_left_two_in_production_is_named(guarded: Settings, served: Settings) -> None:
    alone = STAGE | {"version": "3", "archive_existing_versions": False}
    assert call(guarded, PROMOTER, "POST", TO_STAGE, alone).ok
    found = resolve_version(served)
    assert found.version == 2
    assert f"versions 2 and 3 are all in Production (by {PROMOTER})" in str(found.note)
    promote_version(served, 2, who="tests", why="it was meant")


def test_who_deleted_what_served_is_named(guarded: Settings, served: Settings) -> None:
    own = Settings(home=guarded.home, _env_file=None)
    first = connect(own).get_model_version("closecast", "1")
    made = connect(own).create_model_version("closecast", first.source, tags=first.tags).version
    promote_version(served, int(made), who="tests", why="to be deleted")
    assert call(guarded, ADMIN, "DELETE", "model-versions/delete", {"name": "closecast", "version": str(made)}).ok
    assert resolve_version(served).version == 2
    line = read_ledger(served)[-1]
    assert (line.action, line.to_version) == ("fallback", 2)
    assert line.why == f"version {made}, which served, was deleted from the registry (by {ADMIN})"


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_strangers_page_moves_nothing_with_a_promoters_login(
    guarded: Settings, served: Settings, origin: str
) -> None:
    auth = (PROMOTER, load_mlflow_passwords(guarded)[PROMOTER].get_secret_value())
    url = f"{guarded.mlflow_tracking_uri}/ajax-api/2.0/mlflow/{TO_ALIAS}"
    body = ALIAS | {"version": "1"}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, json=body, auth=auth, headers={"Origin": origin}, timeout=30)
    assert answer.status_code == 403
    assert resolve_version(served).version == 2


def test_a_move_past_the_server_is_nobodys(guarded: Settings, served: Settings) -> None:
    assert call(guarded, PROMOTER, "POST", TO_ALIAS, ALIAS | {"version": "1"}).ok
    assert resolve_version(served).version == 1
    past = Settings(home=guarded.home, _env_file=None)  # the same store, in process
    for version in (2, 1):
        open_registry(past).name_champion(version)
        open_registry(past).put_in_production(version)
        assert resolve_version(served).version == version
        assert read_ledger(served)[-1].who == SOMEBODY


def test_nobody_writes_another_name_into_the_record(guarded: Settings, served: Settings) -> None:
    assert call(guarded, PROMOTER, "POST", TO_ALIAS, ALIAS | {"version": "1"}).ok
    tag = {"name": "closecast", "key": f"{RESERVED}alias", "value": "{}"}
    twice = json.dumps(tag)
    for user in (PROMOTER, ADMIN):
        assert call(guarded, user, "POST", "registered-models/set-tag", tag).status_code == 403
        assert call(guarded, user, "POST", "registered-models/set-tag", twice).status_code == 403
        assert call(guarded, user, "DELETE", "registered-models/delete-tag", tag).status_code == 403
    assert call(guarded, PROMOTER, "POST", "registered-models/set-tag", tag | {"key": "note"}).ok
    resolve_version(served)
    assert read_ledger(served)[-1].who == PROMOTER


def test_who_may_move_may_not_delete(guarded: Settings, served: Settings) -> None:
    said = {"name": "closecast", "version": "3"}
    assert call(guarded, PROMOTER, "DELETE", "model-versions/delete", said).status_code == 403
    assert len(list_versions(served)) >= 3


def test_the_service_logs_and_registers(guarded: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    graph = resolve_version(guarded, 1).onnx
    assert graph is not None
    windows = np.ones((2, 1, 6), np.float32)
    example = (windows, run_graph(load_graph(graph, threads=1), windows))
    connect(guarded)
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run() as run:
        mlflow.log_metric("relative_error", 0.5)
        version = register_graph(guarded, run, graph, example=example, tags={"kind": "last_close", "lookback": "1"})
    assert resolve_version(guarded, version).kind == "last_close"
    assert list_versions(guarded)[0].metrics["relative_error"] == 0.5
    assert capsys.readouterr().out == ""  # a command's answer is all that stands there
