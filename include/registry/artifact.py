"""A registered version and its graph on this machine, used only while its SHA-256 is the one in the registry.

MLflow's client costs seconds to import; it is, only where a graph is not in the cache yet.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from include.errors import NotFoundError
from include.files import write_atomically
from include.settings import Settings

NEEDED_TAGS = frozenset({"kind", "lookback", "onnx_sha256"})


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
    residuals_sha256
        The hash of its held-out residuals, None where it has none; see `include.backtest.residuals`.
    trained_through
        The last session that it was fitted or chosen by, as YYYY-MM-DD; None where that is not known.
    horizons
        Sessions ahead that it forecasts: 1, 2, ... up to this.
    note
        What whoever reads a report must know of how it came to serve: the registry was down, a move was not followed.
    """

    name: str
    version: int
    kind: str
    lookback: int
    onnx_sha256: str
    onnx: Path | None = None
    drift_sha256: str | None = None
    residuals_sha256: str | None = None
    trained_through: str | None = None
    horizons: int = 1
    note: str | None = None


def describe_version(settings: Settings, version: int, tags: Mapping[str, str]) -> ModelVersion:
    """Build a version from its tags.

    Raises
    ------
    NotFoundError
        A tag that scoring needs is missing, or the lookback is no whole number of sessions.
    """
    if not tags.keys() >= NEEDED_TAGS:
        rule = "a version must carry the tags kind, lookback and onnx_sha256"
        raise NotFoundError(rule, value=sorted(tags), place=f"{settings.model_name} version {version}")
    if re.fullmatch("[1-9][0-9]{0,3}", tags["lookback"]) is None:
        rule = "a version's tag lookback must be a number of sessions, 1 to 9999"
        raise NotFoundError(rule, value=tags["lookback"], place=f"{settings.model_name} version {version}")
    if re.fullmatch("[1-9][0-9]?", tags.get("horizons", "1")) is None:
        rule = "a version's tag horizons must be a number of sessions, 1 to 99"
        raise NotFoundError(rule, value=tags["horizons"], place=f"{settings.model_name} version {version}")
    return ModelVersion(
        settings.model_name,
        version,
        tags["kind"],
        int(tags["lookback"]),
        tags["onnx_sha256"],
        drift_sha256=tags.get("drift_sha256"),
        residuals_sha256=tags.get("residuals_sha256"),
        trained_through=tags.get("trained_through"),
        horizons=int(tags.get("horizons", "1")),
    )


def fetch_artifact(settings: Settings, version: ModelVersion) -> ModelVersion:
    """Return the version with its graph in the cache, verified by hash.

    Raises
    ------
    NotFoundError
        The store has no such graph, or not with the hash it was registered with.
    UnavailableError
        The registry does not answer.
    """
    cached = cached_graph(settings, version)
    if not is_cached(settings, version):
        from include.registry.download import download_graph

        download_graph(settings, version.name, version.version, cached)
        if hash_file(cached) != version.onnx_sha256:
            cached.unlink()
            place = f"{version.name} version {version.version}"
            raise NotFoundError("an artifact must have the hash it was registered with", value="another", place=place)
    return replace(version, onnx=cached)


def is_cached(settings: Settings, version: ModelVersion) -> bool:
    """Whether a version's graph is on this machine as it was registered."""
    cached = cached_graph(settings, version)
    return cached.is_file() and hash_file(cached) == version.onnx_sha256


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_canonical(path: Path) -> bytes:
    """Read a graph's bytes as its model is written here; MLflow writes a model anew when it logs it."""
    import onnx

    canonical: bytes = onnx.load(path).SerializeToString(deterministic=True)
    return canonical


def remember_serving(settings: Settings, version: ModelVersion) -> None:
    """Write down what serves beside its graph, for the run that finds the registry down."""
    said = json.dumps({key: value for key, value in asdict(version).items() if key not in ("onnx", "note")})
    path = _serving_file(settings)
    if path.is_file() and path.read_text() == said:
        return
    write_atomically(path, said)


def recall_serving(settings: Settings) -> ModelVersion | None:
    """Return what served last, with its graph; None where nothing is written down or the graph is not as it was."""
    try:
        found = ModelVersion(**json.loads(_serving_file(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return replace(found, onnx=cached_graph(settings, found)) if is_cached(settings, found) else None


def has_served(settings: Settings) -> bool:
    """Whether it is written down that a version served here, whatever has become of it."""
    return _serving_file(settings).exists()


def cached_graph(settings: Settings, version: ModelVersion) -> Path:
    """Return where a version's graph lies on this machine, once it was fetched."""
    return settings.model_cache / version.name / f"{version.version}-{version.onnx_sha256[:16]}.onnx"


def _serving_file(settings: Settings) -> Path:
    return settings.model_cache / settings.model_name / "serving.json"
