"""Which version serves, and its artifact on this machine.

Production is a stage of one registered model. The look-up goes over MLflow's REST interface where a server is set,
because importing MLflow's client costs seconds that a forecast at close does not have; the client is imported only to
fetch an artifact that is not in the cache yet. An artifact is used only while its SHA-256 is the one in the registry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from include.errors import NotFoundError, UnavailableError
from include.settings import Settings

PRODUCTION = "Production"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, ready to score.

    Attributes
    ----------
    name, version
        As in the registry.
    kind
        Which model it is: bigru, ridge, last_close.
    lookback
        Sessions in its raw window.
    onnx
        Its graph on this machine, None until it was fetched.
    onnx_sha256
        The graph's hash as it was registered.
    drift_sha256
        The hash of its drift reference, None where it has none; see `include.registry.reference`.
    """

    name: str
    version: int
    kind: str
    lookback: int
    onnx_sha256: str
    onnx: Path | None = None
    drift_sha256: str | None = None


def resolve_version(settings: Settings, version: int | None = None) -> ModelVersion:
    """Find a version, the one in Production by default, and make sure that its graph is here.

    Raises
    ------
    NotFoundError
        No such model or version, or none is in Production.
    UnavailableError
        The registry does not answer.
    """
    row = _find_production(settings) if version is None else _find_version(settings, version)
    tags = {tag["key"]: tag["value"] for tag in row.get("tags", [])}
    missing = {"kind", "lookback", "onnx_sha256"} - tags.keys()
    if missing:
        place = f"{settings.model_name} version {row['version']}"
        raise NotFoundError(
            "a version must carry the tags kind, lookback and onnx_sha256", value=sorted(tags), place=place
        )
    found = ModelVersion(
        settings.model_name,
        int(row["version"]),
        tags["kind"],
        int(tags["lookback"]),
        tags["onnx_sha256"],
        drift_sha256=tags.get("drift_sha256"),
    )
    return fetch_artifact(settings, found)


def fetch_artifact(settings: Settings, version: ModelVersion) -> ModelVersion:
    """Return the version with its graph in the cache, verified by hash."""
    cached = settings.model_cache / version.name / f"{version.version}-{version.onnx_sha256[:16]}.onnx"
    if not cached.is_file() or hash_file(cached) != version.onnx_sha256:
        from include.registry.store import download_graph

        download_graph(settings, version, cached)
        if hash_file(cached) != version.onnx_sha256:
            cached.unlink()
            place = f"{version.name} version {version.version}"
            raise NotFoundError("an artifact must have the hash it was registered with", value="another", place=place)
    return ModelVersion(**{**vars(version), "onnx": cached})


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_production(settings: Settings) -> dict[str, Any]:
    query = {"name": settings.model_name, "stages": [PRODUCTION]}
    try:
        rows = _ask(settings, "registered-models/get-latest-versions", query).get("model_versions", [])
    except NotFoundError:
        rows = []
    if not rows:
        rule = f"a version of {settings.model_name} must be in Production: closecast train fits and promotes one"
        raise NotFoundError(rule, place="registry")
    return max(rows, key=lambda row: int(row["version"]))


def _find_version(settings: Settings, version: int) -> dict[str, Any]:
    query = {"name": settings.model_name, "version": str(version)}
    found: dict[str, Any] = _ask(settings, "model-versions/get", query)["model_version"]
    return found


def _ask(settings: Settings, path: str, query: dict[str, Any]) -> dict[str, Any]:
    """Ask the registry's REST interface, or the same interface in process where no server is set."""
    if not settings.tracking_uri.startswith("http"):
        from include.registry.store import ask_local_store

        return ask_local_store(settings, path, query)
    url = f"{settings.tracking_uri}/api/2.0/mlflow/{path}"
    try:
        answer = requests.get(url, params=query, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise UnavailableError("the MLflow server must answer", value=type(error).__name__, place=url) from error
    if answer.status_code == requests.codes.not_found:
        raise NotFoundError(
            f"model {settings.model_name} must be registered, with this version", value=query, place=url
        )
    if not answer.ok:
        raise UnavailableError("the MLflow server must answer", value=f"HTTP {answer.status_code}", place=url)
    found: dict[str, Any] = answer.json()
    return found
