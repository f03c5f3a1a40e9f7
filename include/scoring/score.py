"""The Production model over the newest windows: every symbol of the universe gets its rows, in one commit.

Pinned to one version of bars and one numeric model version, both of which each row names. Nothing after `as_of` is
read, whatever the lake holds by now.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
from deltalake.transaction import AddAction

from include.errors import NotFoundError
from include.files import write_atomically
from include.lake.runs import Part, Run, commit_run, find_forecast_table, find_run, write_part
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS, Table
from include.schema import TARGETS
from include.scoring.plan import Plan, load_plan, plan_folder, plan_run, save_plan
from include.scoring.rows import stamp_rows
from include.scoring.shard import score_shard
from include.settings import Settings


@dataclass(frozen=True)
class ScoreReport:
    """What one scoring run wrote."""

    as_of: date
    target_session: date
    run_id: str
    model_version: int
    model_kind: str
    bars_version: int
    rows: int
    statuses: dict[str, int]
    seconds: dict[str, float]
    model_note: str | None = None

    def summary(self) -> str:
        """Return one line for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        return (
            f"{self.as_of} scored by {self.model_kind} version {self.model_version}"
            f" on bars version {self.bars_version}: {sum(self.statuses.values()):,} symbol(s) ({counts}),"
            f" {self.rows:,} rows for {self.target_session}, {sum(self.seconds.values()):.2f} s"
            f"{f'; {self.model_note}' if self.model_note else ''}"
        )


@dataclass(frozen=True)
class _Shard:
    """A part of a run, and how many symbols it gave which status."""

    part: Part | None
    statuses: dict[str, int]


def score_session(settings: Settings, as_of: date, *, run_id: str | None = None) -> ScoreReport:
    """Score a session's universe by the Production model and append the run to `predictions`.

    Parameters
    ----------
    settings
        Universe, shards, threads, where the lake and the registry are.
    as_of
        The session whose close has been; it must have bars.
    run_id
        Who asked: a DAG run's id. A run of its own makes it unique, so that a rerun never doubles a row.
    """
    return _score(settings, as_of, PREDICTIONS, symbols=None, version=None, asked_by=run_id)


def predict_symbols(
    settings: Settings,
    as_of: date,
    *,
    symbols: Sequence[str] | None = None,
    version: int | None = None,
    run_id: str | None = None,
) -> ScoreReport:
    """Score any session, symbols and version at will; the run goes to `adhoc_predictions`.

    Raises
    ------
    InputError
        A symbol that the session's universe does not have.
    """
    return _score(settings, as_of, ADHOC_PREDICTIONS, symbols=symbols, version=version, asked_by=run_id)


def _score(
    settings: Settings,
    as_of: date,
    table: Table,
    *,
    symbols: Sequence[str] | None,
    version: int | None,
    asked_by: str | None,
) -> ScoreReport:
    clock = _Stopwatch()
    plan, sources = plan_run(settings, as_of, table, symbols=symbols, version=version, asked_by=asked_by)
    clock.lap("resolve")
    scored_at = datetime.now(UTC)
    shards = []
    for number in range(plan.shards):
        rows = score_shard(settings, plan, number, sources=sources)
        clock.lap("score")
        shards.append(_write_shard(settings, plan, rows, scored_at))
        clock.lap("write")
    run = _commit(settings, plan, shards, scored_at)
    clock.lap("commit")
    return _report(plan, run, clock.laps)


def begin_run(settings: Settings, as_of: date, *, asked_by: str) -> Plan:
    """Plan a run whose shards are scored by processes of their own."""
    plan, _ = plan_run(settings, as_of, PREDICTIONS, asked_by=asked_by)
    save_plan(settings, plan)
    return plan


def score_part(settings: Settings, run_id: str, shard: int) -> int:
    """Score one shard of a planned run and write its part; return its rows. A part that is there stands.

    Another file with the same rows would double them where a process died with the forecasts committed and the run not.
    """
    plan = load_plan(settings, run_id)
    if (kept := _find_shard(settings, plan, shard)) is not None:
        return kept.part.rows if kept.part else 0
    done = _write_shard(settings, plan, score_shard(settings, plan, shard), datetime.now(UTC))
    said = {"statuses": done.statuses, "part": _describe_part(done.part)}
    write_atomically(plan_folder(settings, run_id) / f"{shard}.json", json.dumps(said))
    return done.part.rows if done.part else 0


def finish_run(settings: Settings, run_id: str) -> ScoreReport:
    """Commit a run all of whose shards are scored; again, it changes nothing.

    Raises
    ------
    NotFoundError
        A shard has not been scored.
    """
    clock, folder = _Stopwatch(), plan_folder(settings, run_id)
    plan = load_plan(settings, run_id)
    found = {number: _find_shard(settings, plan, number) for number in range(plan.shards)}
    missing = [str(number) for number, shard in found.items() if shard is None]
    if missing:
        raise NotFoundError("each shard of a run must be scored", value=", ".join(missing), place=run_id)
    shards = [shard for shard in found.values() if shard]
    run = find_run(settings.lake, run_id) or _commit(settings, plan, shards, datetime.now(UTC))
    clock.lap("commit")
    shutil.rmtree(folder, ignore_errors=True)
    return _report(plan, run, clock.laps)


def _write_shard(settings: Settings, plan: Plan, rows: pa.Table, scored_at: datetime) -> _Shard:
    if not rows.num_rows:
        return _Shard(None, {})
    stamped = stamp_rows(rows, plan, scored_at)
    each = len(plan.target_sessions) * len(TARGETS)
    statuses = Counter(rows["status"].to_pylist()[::each])
    return _Shard(write_part(settings.lake, find_forecast_table(plan.table), stamped), dict(statuses))


def _describe_part(part: Part | None) -> dict[str, object] | None:
    if part is None:
        return None
    file = part.file
    named = {"path": file.path, "size": file.size, "partition_values": file.partition_values, "stats": file.stats}
    return {"rows": part.rows, "sha256": part.sha256, "file": named | {"modification_time": file.modification_time}}


def _find_shard(settings: Settings, plan: Plan, number: int) -> _Shard | None:
    """Return a shard that is scored; None where it is not, or its file is gone."""
    path = plan_folder(settings, plan.run_id) / f"{number}.json"
    if not path.is_file():
        return None
    shard, table = _load_shard(json.loads(path.read_text())), find_forecast_table(plan.table)
    if shard.part and not Path(table.path(settings.lake), shard.part.file.path).is_file():
        return None
    return shard


def _load_shard(said: dict[str, object]) -> _Shard:
    part = said["part"]
    if part is None:
        return _Shard(None, {})
    assert isinstance(part, dict)
    return _Shard(
        Part(AddAction(**part["file"], data_change=True), part["rows"], part["sha256"]),
        dict(said["statuses"]),  # type: ignore[call-overload]  # as `score_part` wrote it
    )


def _commit(settings: Settings, plan: Plan, shards: Sequence[_Shard], scored_at: datetime) -> Run:
    parts = [shard.part for shard in shards if shard.part]
    statuses: Counter[str] = Counter()
    for shard in shards:
        statuses.update(shard.statuses)
    run = Run(
        scored_into=plan.table,
        run_id=plan.run_id,
        as_of=plan.as_of,
        horizons=len(plan.target_sessions),
        model_name=plan.model.name,
        model_version=plan.model.version,
        model_kind=plan.model.kind,
        lookback=plan.model.lookback,
        onnx_sha256=plan.model.onnx_sha256,
        trained_through=date.fromisoformat(plan.model.trained_through) if plan.model.trained_through else None,
        bars_version=plan.bars_version,
        calibration_version=plan.calibration_version,
        reference_version=plan.reference_version,
        settings=plan.settings,
        settings_hash=plan.settings_hash,
        environment_hash=plan.environment_hash,
        code_version=plan.code_version,
        shards=plan.shards,
        symbols=statuses.total(),
        rows=sum(part.rows for part in parts),
        statuses=json.dumps(dict(statuses.most_common())),
        content_sha256="",
        scored_at=scored_at,
        quarantine_version=plan.quarantine_version,
    )
    return commit_run(settings.lake, run, parts)


def _report(plan: Plan, run: Run, seconds: dict[str, float]) -> ScoreReport:
    return ScoreReport(
        run.as_of,
        plan.target_sessions[0],
        run.run_id,
        run.model_version,
        run.model_kind,
        run.bars_version,
        run.rows,
        json.loads(run.statuses),
        seconds,
        plan.model.note,
    )


class _Stopwatch:
    """Seconds between laps, by name; laps of one name add up."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(self.laps.get(name, 0.0) + now - self._last, 4), now
