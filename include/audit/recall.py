"""An earlier run's plan, made again from its row: the same bars, graph, calibration, symbols and settings.

Nothing of today's goes in but where things lie. What is gone is told, never replaced.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

from include.errors import NotFoundError
from include.lake.catalog import version_known_at
from include.lake.runs import Run
from include.lake.tables import QUARANTINE
from include.market.sessions import next_session
from include.provenance import code_version, environment_hash, is_dirty
from include.registry.artifact import ModelVersion, fetch_artifact
from include.scoring.plan import Plan
from include.settings import Settings


def recall_settings(settings: Settings, run: Run) -> Settings:
    """Return the settings with what shaped a run as it was then."""
    return settings.model_copy(update=json.loads(run.settings) | {"shards": run.shards, "model_name": run.model_name})


def describe_model(run: Run) -> ModelVersion:
    """Return the version that a run was made by, its graph not fetched."""
    return ModelVersion(
        run.model_name,
        run.model_version,
        run.model_kind,
        run.lookback,
        run.onnx_sha256,
        trained_through=run.trained_through.isoformat() if run.trained_through else None,
        horizons=run.horizons,
    )


def list_targets(settings: Settings, run: Run) -> tuple[date, ...]:
    """Return the sessions that a run speaks of."""
    calendar = recall_settings(settings, run).calendar
    targets, day = [], run.as_of
    for _ in range(run.horizons):
        day = next_session(calendar, day)
        targets.append(day)
    return tuple(targets)


def recall_plan(settings: Settings, run: Run, *, symbols: Sequence[str] | None = None) -> Plan:
    """Make the plan of a run again.

    Parameters
    ----------
    settings
        Where things lie; for what shapes a forecast, the run's own take their place: see `recall_settings`.
    run
        The row that committed it.
    symbols
        Those that it was asked for; None for the whole universe.

    Raises
    ------
    NotFoundError
        The graph is in neither the cache nor the registry, or is not the one that the run was made by.
    UnavailableError
        The registry does not answer, and the graph is not in the cache.
    """
    return Plan(
        run_id=run.run_id,
        table=run.scored_into,
        as_of=run.as_of,
        target_sessions=list_targets(settings, run),
        model=fetch_artifact(settings, describe_model(run)),
        bars_version=run.bars_version,
        calibration_version=run.calibration_version,
        reference_version=run.reference_version,
        symbols=tuple(symbols) if symbols is not None else None,
        shards=run.shards,
        settings=run.settings,
        settings_hash=run.settings_hash,
        environment_hash=run.environment_hash,
        code_version=run.code_version,
        quarantine_version=_find_quarantine(settings, run),
    )


def _find_quarantine(settings: Settings, run: Run) -> int | None:
    """Return the run's version of quarantine; a run from before it was written down has that of its moment."""
    if run.quarantine_version is not None:
        return run.quarantine_version
    try:
        return version_known_at(settings.lake, run.scored_at, table=QUARANTINE)
    except NotFoundError:
        return None


def is_same_code(run: Run) -> bool:
    """Whether this is the code that a run was made by; of a tree with changes of its own that is not known."""
    return run.code_version == code_version() and not is_dirty()


def is_same_environment(run: Run) -> bool:
    """Whether the locked requirements are those of a run."""
    return run.environment_hash == environment_hash()
