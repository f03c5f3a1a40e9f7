"""What a registered version says of how it was made: its registry row, and its run's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from include.errors import NotFoundError, UnavailableError
from include.registry.client import connect
from include.registry.versions import RegistryRow, show_version
from include.settings import Settings
from include.training.snapshot import Snapshot

_SNAPSHOT_PARAMS = ("bars_version", "first_session", "last_session", "holdout_from", "sessions", "holdout_sessions")


CONTRACT, FITTED_TO = "contract", "fitted_to"
"""Tags of an adopted version: its contract, and the last session that it was fitted on, where its team has said so."""


@dataclass(frozen=True)
class Recorded:
    """A version and the snapshot that it was fitted and judged on; the other parameters are text, as MLflow keeps them.

    Attributes
    ----------
    row
        Of the registry: kind, tags, metrics.
    params
        All parameters of its run by name.
    snapshot
        Read from them.
    """

    row: RegistryRow
    params: Mapping[str, str]
    snapshot: Snapshot


def read_recorded(settings: Settings, version: int) -> Recorded:
    """Read what led to a version.

    Raises
    ------
    NotFoundError
        It is not registered, its run was removed, or the run names no snapshot.
    """
    row = show_version(settings, version)
    params = _read_params(settings, row)
    place = f"{settings.model_name} version {version}"
    if missing := [name for name in _SNAPSHOT_PARAMS if name not in params]:
        raise NotFoundError("a version's run must name its snapshot", value=f"no {', '.join(missing)}", place=place)
    first, last, held = (_read_date(params[name]) for name in ("first_session", "last_session", "holdout_from"))
    counts = (int(params[name]) for name in ("sessions", "holdout_sessions"))
    return Recorded(row, params, Snapshot(int(params["bars_version"]), first, last, held, *counts))


def find_last_seen(settings: Settings, row: RegistryRow) -> date | None:
    """Return the last session that a version was fitted or judged on; None for an adopted one that does not say.

    Raises
    ------
    NotFoundError
        Its run was removed, or names no snapshot.
    """
    if CONTRACT in row.tags:
        return date.fromisoformat(row.tags[FITTED_TO]) if FITTED_TO in row.tags else None
    return read_recorded(settings, row.version).snapshot.last_session


def _read_date(text: str) -> date:
    return date.fromisoformat(text.strip('"'))


def _read_params(settings: Settings, row: RegistryRow) -> dict[str, str]:
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_run(row.run_id).data.params)
    except MlflowException as error:
        place = f"{settings.model_name} version {row.version}"
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError("a version's run must be in MLflow", value="removed", place=place) from error
        raise UnavailableError("MLflow must answer", value=error.message[:200], place=place) from error
