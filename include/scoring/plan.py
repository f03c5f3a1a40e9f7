"""What a scoring run is pinned to, decided once: every shard of it reads the same bars by the same model."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from deltalake import DeltaTable

from include.errors import NotFoundError
from include.files import write_atomically
from include.lake.bars import sessions_up_to
from include.lake.catalog import committed_state, open_committed
from include.lake.identity_file import keep_symbol_changes, load_symbol_changes
from include.lake.tables import BARS, Table
from include.market.sessions import next_session
from include.provenance import code_version, environment_hash
from include.registry.artifact import ModelVersion, fetch_artifact
from include.registry.resolve import resolve_version
from include.scoring.calibration import Calibrated, current_calibration
from include.settings import SHAPING, Settings


@dataclass(frozen=True)
class Plan:
    """One run before its first forecast.

    Attributes
    ----------
    table
        Name of the table that it is scored into.
    target_sessions
        The sessions that are spoken of, the next one first, as many as the model has horizons.
    symbols
        Which are asked for; None for the whole universe.
    settings
        What can change a forecast, as JSON text.
    quarantine_version
        Of the refused rows that were open then; None where no row had been refused.
    """

    run_id: str
    table: str
    as_of: date
    target_sessions: tuple[date, ...]
    model: ModelVersion
    bars_version: int
    calibration_version: int | None
    reference_version: str | None
    symbols: tuple[str, ...] | None
    shards: int
    settings: str
    settings_hash: str
    environment_hash: str
    code_version: str
    quarantine_version: int | None = None


@dataclass(frozen=True)
class Sources:
    """What a plan names, open: bars at its version, and its calibration, None where it has none."""

    bars: DeltaTable
    calibration: Calibrated | None


def plan_run(
    settings: Settings,
    as_of: date,
    table: Table,
    *,
    symbols: Sequence[str] | None = None,
    version: int | None = None,
    asked_by: str | None = None,
) -> tuple[Plan, Sources]:
    """Decide what a run reads and by which model, and give it open; parameters as in `include.scoring.score`."""
    model = resolve_version(settings, version)
    known = committed_state(settings.lake)
    bars = open_committed(settings.lake, BARS, state=known)
    sessions_up_to(bars, as_of, count=1)  # it must have bars
    calibration = current_calibration(settings, model, as_of)
    pinned = pin_run(settings, as_of, table, model, bars_version=int(bars.version()), asked_by=asked_by)
    chosen = tuple(symbols) if symbols is not None else None
    pinned = replace(pinned, symbols=chosen, quarantine_version=known.quarantine)
    pinned = replace(pinned, calibration_version=calibration.version if calibration else None)
    return pinned, Sources(bars, calibration)


def pin_run(
    settings: Settings,
    as_of: date,
    table: Table,
    model: ModelVersion,
    *,
    bars_version: int,
    asked_by: str | None = None,
) -> Plan:
    """Pin a run of the whole universe, without intervals and refused rows, to a version of bars and a model."""
    targets, day = [], as_of
    for _ in range(model.horizons):
        day = next_session(settings.calendar, day)
        targets.append(day)
    return Plan(
        run_id=f"{asked_by or 'manual'}/{uuid.uuid4().hex[:12]}",
        table=table.name,
        as_of=as_of,
        target_sessions=tuple(targets),
        model=model,
        bars_version=bars_version,
        calibration_version=None,
        reference_version=keep_symbol_changes(settings, load_symbol_changes(settings)),
        symbols=None,
        shards=settings.shards,
        settings=settings.model_dump_json(include=SHAPING | {"threads"}),  # whose number may move a last bit
        settings_hash=settings.fingerprint(),
        environment_hash=environment_hash(),
        code_version=code_version(),
    )


def save_plan(settings: Settings, plan: Plan) -> None:
    """Write a plan down for the processes that work its shards."""
    said = asdict(plan) | {"model": {key: value for key, value in asdict(plan.model).items() if key != "onnx"}}
    write_atomically(plan_folder(settings, plan.run_id) / "plan.json", json.dumps(said, default=date.isoformat))


def load_plan(settings: Settings, run_id: str) -> Plan:
    """Read a plan, and make sure that its graph is on this machine.

    Raises
    ------
    NotFoundError
        There is no such plan: the run was committed, or never began.
    """
    path = plan_folder(settings, run_id) / "plan.json"
    if not path.is_file():
        raise NotFoundError("a run must be planned, and not be committed yet", value=run_id, place=str(path))
    said = json.loads(path.read_text())
    model = fetch_artifact(settings, ModelVersion(**said.pop("model")))
    days = tuple(date.fromisoformat(day) for day in said.pop("target_sessions"))
    symbols = said.pop("symbols")
    as_of = date.fromisoformat(said.pop("as_of"))
    chosen = tuple(symbols) if symbols is not None else None
    return Plan(as_of=as_of, target_sessions=days, model=model, symbols=chosen, **said)


def plan_folder(settings: Settings, run_id: str) -> Path:
    """Return where plan and parts of a run lie until it is committed: by the part of its id that is unique."""
    return settings.scoring / run_id.rsplit("/", 1)[-1]
