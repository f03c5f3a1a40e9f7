"""What is asked of the registry, and told it, in plain values: over REST where a server is set, else in process.

Importing MLflow's client costs seconds that a forecast at close, and a rollback, do not have; a request costs
milliseconds. `include.registry.local` answers the same questions from the local store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

from include.errors import NotFoundError, UnavailableError
from include.settings import Settings

PRODUCTION = "Production"
CHAMPION = "champion"
TIMEOUT_S = 5.0
_PAGE = 1000
_REFUSALS = {
    401: "the MLflow server must know the user (CLOSECAST_MLFLOW_USERNAME and _PASSWORD)",
    403: "the MLflow server must let the user do this (EDIT on the registered model)",
}


@dataclass(frozen=True)
class Registered:
    """A version as the registry has it; `moved_at` is when its stage, tags or description last changed."""

    version: int
    stage: str
    tags: Mapping[str, str]
    moved_at: datetime | None
    created_at: datetime | None = None
    run_id: str = ""


@dataclass(frozen=True)
class RegistryState:
    """One look at the registered model.

    Attributes
    ----------
    versions
        By number; a deleted one is not there.
    champion
        The version that the alias names, None where it names none, or one that was deleted.
    tags
        Of the registered model itself.
    aliases
        All of them, and the versions that they name.
    """

    versions: Mapping[int, Registered]
    champion: int | None
    tags: Mapping[str, str]
    aliases: Mapping[str, int] = field(default_factory=dict)

    @property
    def in_production(self) -> frozenset[int]:
        """The versions whose stage is Production."""
        return frozenset(number for number, each in self.versions.items() if each.stage == PRODUCTION)


class Registry(Protocol):
    """The questions and changes; each raises NotFoundError and UnavailableError."""

    def look(self) -> RegistryState:
        """Read the registered model; one that is not registered has no versions."""

    def read_metrics(self, run_id: str) -> dict[str, float]:
        """Read what a run measured; nothing of one that was removed by `mlflow gc`, which leaves its versions."""

    def put_in_production(self, version: int) -> None:
        """Move a version into Production and what is there to Archived, in one transaction."""

    def name_champion(self, version: int) -> None:
        """Point the alias at a version."""

    def tag_model(self, key: str, value: str) -> None:
        """Set a tag of the registered model."""


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own, which no proxy may stand between."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def find_login(settings: Settings) -> tuple[str, str] | None:
    """Return user and password: the settings', else those of MLflow's own variables, None where there are neither."""
    if settings.mlflow_username:
        password = settings.mlflow_password
        return settings.mlflow_username, password.get_secret_value() if password else ""
    user, word = (os.environ.get(f"MLFLOW_TRACKING_{each}") for each in ("USERNAME", "PASSWORD"))
    return (user, word or "") if user else None


class RestRegistry:
    """An MLflow server."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.model_name
        self._root = f"{settings.tracking_uri.rstrip('/')}/api/2.0/mlflow"
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(self._root)  # else the shell's proxy is asked for 127.0.0.1
        self._session.auth = find_login(settings)

    def look(self) -> RegistryState:
        """Read the registered model: two requests, more where it has over a thousand versions."""
        try:
            model = self._call("GET", "registered-models/get", {"name": self._name})["registered_model"]
        except NotFoundError:
            return RegistryState({}, None, {})
        rows: list[dict[str, Any]] = []
        query: dict[str, Any] = {"filter": f"name='{self._name}'", "max_results": _PAGE}
        while True:
            found = self._call("GET", "model-versions/search", query)
            rows += found.get("model_versions", [])
            if not (token := found.get("next_page_token")):
                break
            query["page_token"] = token
        return build_state(rows, {each["alias"]: each["version"] for each in model.get("aliases", [])}, _tags(model))

    def read_record(self, version: int) -> tuple[str, dict[str, str], dict[str, str]]:
        """Read what a version says of how it was made: its run, its own tags, its run's parameters."""
        query = {"name": self._name, "version": str(version)}
        found = self._call("GET", "model-versions/get", query)["model_version"]
        run = self._call("GET", "runs/get", {"run_id": found["run_id"]})["run"]
        params = {str(each["key"]): str(each["value"]) for each in run["data"].get("params", [])}
        return str(found["run_id"]), _tags(found), params

    def read_metrics(self, run_id: str) -> dict[str, float]:
        """Read what a run measured."""
        try:
            run = self._call("GET", "runs/get", {"run_id": run_id})["run"]
        except NotFoundError:
            return {}
        return {str(each["key"]): float(each["value"]) for each in run["data"].get("metrics", [])}

    def put_in_production(self, version: int) -> None:
        """Move a version into Production, alone."""
        # Without archiving, two versions would share the stage and MLflow's own address of it takes the higher number.
        body = {"stage": PRODUCTION, "archive_existing_versions": True}
        self._call("POST", "model-versions/transition-stage", self._named(version) | body)

    def name_champion(self, version: int) -> None:
        """Point the alias at a version."""
        self._call("POST", "registered-models/alias", self._named(version) | {"alias": CHAMPION})

    def tag_model(self, key: str, value: str) -> None:
        """Set a tag of the registered model."""
        self._call("POST", "registered-models/set-tag", {"name": self._name, "key": key, "value": value})

    def _named(self, version: int) -> dict[str, Any]:
        return {"name": self._name, "version": str(version)}

    def _call(self, method: str, path: str, said: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._root}/{path}"
        carried: dict[str, Any] = {"params": said} if method == "GET" else {"json": said}
        try:
            answer = self._session.request(method, url, timeout=TIMEOUT_S, **carried)
        except requests.RequestException as error:
            raise UnavailableError("the MLflow server must answer", value=type(error).__name__, place=url) from error
        if answer.status_code == requests.codes.not_found and "RESOURCE_DOES_NOT_EXIST" in answer.text:
            raise NotFoundError(f"model {self._name} must be registered, with this version", value=said, place=url)
        if answer.status_code in _REFUSALS:
            raise UnavailableError(_REFUSALS[answer.status_code], value=f"HTTP {answer.status_code}", place=url)
        if not answer.ok:
            raise UnavailableError("the MLflow server must answer", value=f"HTTP {answer.status_code}", place=url)
        try:
            found = answer.json()
        except requests.JSONDecodeError as error:  # a login page, or another program on its port
            value = answer.headers.get("Content-Type", "no type")
            raise UnavailableError("the MLflow server must answer in JSON", value=value, place=url) from error
        if not isinstance(found, dict):
            raise UnavailableError("the MLflow server must answer a JSON object", value=type(found).__name__, place=url)
        return found


def build_state(rows: list[dict[str, Any]], aliases: Mapping[str, Any], tags: Mapping[str, str]) -> RegistryState:
    """Turn versions as REST gives them into a state."""
    versions = {int(row["version"]): _read_version(row) for row in rows}
    known = {alias: int(version) for alias, version in aliases.items() if int(version) in versions}
    return RegistryState(versions, known.get(CHAMPION), tags, known)


def _read_version(row: dict[str, Any]) -> Registered:
    return Registered(
        version=int(row["version"]),
        stage=str(row.get("current_stage", "None")),
        tags=_tags(row),
        moved_at=_read_moment(row.get("last_updated_timestamp")),
        created_at=_read_moment(row.get("creation_timestamp")),
        run_id=str(row.get("run_id") or ""),
    )


def _read_moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _tags(row: dict[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in row.get("tags", [])}
