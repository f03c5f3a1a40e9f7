"""The drift reference of the model in Production, or why there is none: a registry that is down blocks no session."""

from __future__ import annotations

from include.errors import InputError, NotFoundError, UnavailableError
from include.quality.drift import DriftReference
from include.settings import Settings

NO_MODEL = "no model is in Production"
NO_REFERENCE = "the model in Production has no drift reference"


def find_reference(settings: Settings) -> DriftReference | str:
    """Return the reference, or in a few words why drift can't be judged."""
    if not settings.mlflow_tracking_uri and not (settings.mlflow_home / "mlflow.db").exists():
        return NO_MODEL  # asking would create the store, in seconds
    from include.registry.reference import load_reference
    from include.registry.resolve import resolve_version

    try:
        return load_reference(settings, resolve_version(settings)) or NO_REFERENCE
    except (NotFoundError, UnavailableError, InputError) as error:
        return str(error)
