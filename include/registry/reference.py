"""The distributions that drift is judged by, kept with the version that was trained on them.

They are an artifact of the version's run, its hash a tag of the version, and a file of the cache beside the graph. A
version from before there were references has no such tag: drift is then not judged, and whoever asked says so.
"""

from __future__ import annotations

from pathlib import Path

from include.errors import NotFoundError
from include.quality.drift import DriftReference
from include.registry.artifact import ModelVersion, hash_file
from include.settings import Settings

REFERENCE = "drift_reference.json"
"""Name of the artifact."""


def load_reference(settings: Settings, version: ModelVersion) -> DriftReference | None:
    """Read a version's reference, from the cache where it is there as it was registered.

    Returns
    -------
    DriftReference or None
        None where the version has none.

    Raises
    ------
    NotFoundError
        The artifact is not in the registry's store, or not with the hash it was registered with.
    InputError
        It describes other columns than are compared now.
    UnavailableError
        The registry does not answer.
    """
    if version.drift_sha256 is None:
        return None
    return DriftReference.from_json(fetch_beside(settings, version, REFERENCE, version.drift_sha256).read_text())


def fetch_beside(settings: Settings, version: ModelVersion, name: str, sha256: str) -> Path:
    """Return a file of a version's run, from the cache where it is there as it was registered.

    Parameters
    ----------
    settings, version
        Whose.
    name
        Of the artifact.
    sha256
        What it was registered with.

    Raises
    ------
    NotFoundError
        It is not in the registry's store, or not with this hash.
    UnavailableError
        The registry does not answer.
    """
    cached = settings.model_cache / version.name / f"{version.version}-{sha256[:16]}.{name}"
    if not cached.is_file() or hash_file(cached) != sha256:
        from include.registry.download import download_from_run

        download_from_run(settings, version.name, version.version, artifact=name, target=cached)
        if hash_file(cached) != sha256:
            cached.unlink()
            place = f"{version.name} version {version.version}"
            raise NotFoundError(f"{name} must have the hash it was registered with", value="another", place=place)
    return cached
