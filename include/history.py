"""Past sessions lived again in a home of their own, each knowing only what was known then.

Uploads are ingested from their kept files, in the order and at the sessions at which they came; a file of many sessions
is split into a history and one upload a session. Each session is then ingested, validated, scored and settled by the
same code as in production; models are fitted again where the home has versions that were, and serve from when on the
ledger says. So the forecasts are those of the time, also where bars were corrected since.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError, NotFoundError
from include.forecast import forecast_session
from include.home import remember_home
from include.ingest.ingest import ingest_upload
from include.ingest.store import open_kept
from include.lake.bars import open_bars
from include.lake.catalog import read_operations
from include.lake.dense import read_floats
from include.lake.files import list_sessions
from include.lake.predictions import read_forecasts
from include.lake.runs import find_newest_run
from include.market.replay import write_replay
from include.registry.ledger import read_ledger, select_model
from include.registry.promote import promote_version
from include.registry.versions import list_versions
from include.settings import Settings
from include.training.train import train
from include.uploads.read import read_upload

Say = Callable[[int, int, str], None]

_KEYS = ["symbol", "target_session", "target"]


@dataclass(frozen=True)
class Compared:
    """A session's forecasts beside those that were published: rows of both, and how far they are apart."""

    session: date
    rows: int
    published: int
    identical: int
    largest_difference: float


@dataclass(frozen=True)
class History:
    """What was lived again."""

    home: Path
    sessions: list[date]
    retrained: list[date]
    compared: list[Compared]

    def summary(self) -> str:
        """Return one line for people."""
        rows, same = (sum(getattr(each, name) for each in self.compared) for name in ("published", "identical"))
        return (
            f"{len(self.sessions)} sessions lived again in {self.home}, {len(self.retrained)} retrains;"
            f" {same:,} of {rows:,} published forecasts came out the same"
        )


@dataclass
class _Past:
    """What happens when: files that came before the first session, with each, and retrains by their last session."""

    before: list[Any] = field(default_factory=list)
    arrivals: dict[date, list[Any]] = field(default_factory=dict)
    retrains: dict[date, tuple[str, ...]] = field(default_factory=dict)


def simulate_history(
    settings: Settings, home: Path, first: date, last: date, *, every: int | None = None, on_progress: Say
) -> History:
    """Live the sessions from `first` to `last` again.

    Parameters
    ----------
    settings
        The home whose past it is.
    home
        A new folder for the other one.
    first, last
        Sessions with bars, both included.
    every
        Retrain after so many sessions and let the gate decide; by default retrain where the home has, and let serve
        what its ledger says.

    Raises
    ------
    InputError
        The folder is not empty, or no session lies in the period.
    NotFoundError
        A kept upload is gone, or no session lies before `first`.
    """
    if home.exists() and any(home.iterdir()):
        raise InputError("the folder of a simulated history must be empty", value="other files", place=str(home))
    present = list_sessions(open_bars(settings.lake))
    sessions = [day for day in present if first <= day <= last]
    older = [day for day in present if day < first]
    if not sessions or not older:
        rule = "a simulated history must have sessions with bars, and one before the first of them"
        raise InputError(rule, value=f"{len(sessions)} sessions, {len(older)} before", place=f"{first} to {last}")
    # Its registry is its own, whatever server the other home's is; what went wrong in the past is told to nobody.
    named = ("uploads", "mlflow_tracking_uri", "alerts_url", "slack_webhook_url", "slack_webhooks", "slack_bot_token")
    moved = {"home": home.absolute(), **dict.fromkeys(named)}
    other = settings.model_copy(update=moved)
    if settings.symbol_changes_file.is_file():
        other = other.model_copy(update={"symbol_changes": settings.symbol_changes_file})
    with _emptied_on_failure(other.home):
        remember_home(other, made_by="simulate-history")
        past = _find_past(settings, other, sessions, older[-1], every)
        _live(settings, other, past, sessions, older[-1], every=every, on_progress=on_progress)
        compared = [each for day in sessions if (each := _compare(settings, other, day)) is not None]
    retrained = sorted(day for day in past.retrains if day <= last)
    return History(other.home, sessions, retrained, compared)


@contextmanager
def _emptied_on_failure(folder: Path) -> Iterator[None]:
    """Leave nothing in a folder that was empty before: half a history tells nothing, and a new try needs it."""
    was_there = folder.is_dir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if was_there:
            folder.mkdir(exist_ok=True)
        raise


def _live(
    settings: Settings,
    other: Settings,
    past: _Past,
    sessions: list[date],
    newest_before: date,
    *,
    every: int | None,
    on_progress: Say,
) -> None:
    """Let what came come, session by session: ingest, serve as the ledger says, forecast, retrain."""
    steps = len(sessions) + 1
    on_progress(0, steps, "history")
    for upload in past.before:
        ingest_upload(other, upload)
    known: dict[int, int] = {}
    _retrain(settings, other, past, newest_before, known, gate=every is not None)
    began = time.monotonic()
    for number, session in enumerate(sessions, 1):
        on_progress(number, steps, _describe_pace(session, number - 1, len(sessions), time.monotonic() - began))
        for upload in past.arrivals.get(session, []):
            ingest_upload(other, upload)
        if every is None:
            _follow(settings, other, session, known)
        forecast_session(other, session, asked_by="simulate-history")
        _retrain(settings, other, past, session, known, gate=every is not None)


def _describe_pace(session: date, done: int, total: int, seconds: float) -> str:
    """Say which session is lived, how long one takes, and how long the others will.

    Examples
    --------
    >>> _describe_pace(date(2018, 6, 1), 4, 30, 12.0)
    '2018-06-01, 3.0 s a session, 78 s left'
    """
    if not done:
        return str(session)
    return f"{session}, {seconds / done:.1f} s a session, {seconds / done * (total - done):,.0f} s left"


def _find_past(
    settings: Settings, other: Settings, sessions: list[date], newest_before: date, every: int | None
) -> _Past:
    past = _Past()
    _find_arrivals(settings, other, sessions, past)
    if every is not None:
        past.retrains = dict.fromkeys([newest_before, *sessions[every - 1 :: every]], ())
        return past
    for version in reversed(list_versions(settings)):
        if through := version.tags.get("trained_through"):
            day = date.fromisoformat(through)
            at = day if day in sessions else newest_before
            if day <= sessions[-1]:
                past.retrains[at] = (*past.retrains.get(at, ()), version.kind)
    return past


def _find_arrivals(settings: Settings, other: Settings, sessions: list[date], past: _Past) -> None:
    """Find what had come before the first session, and what came with each."""
    split = []
    for row in read_operations(settings.lake):
        if row["first_session"] is None:
            continue
        if row["last_session"] < sessions[0]:
            past.before.append(open_kept(settings, row["sha256"]))
        elif row["sessions"] > 1 and row["first_session"] < sessions[0]:
            split.append(row["sha256"])
        else:
            arrived = _arrived_at(settings, row, sessions)
            if arrived is not None:
                past.arrivals.setdefault(arrived, []).append(open_kept(settings, row["sha256"]))
    for sha256 in split:
        kept = open_kept(settings, sha256)
        with read_upload(kept, scratch=settings.scratch, date_order=settings.date_order) as upload:
            replay = write_replay([upload], sessions, other.scratch / sha256[:12])
        past.before += replay.history
        for path, day in zip(replay.uploads, replay.sessions, strict=True):
            past.arrivals.setdefault(day, []).insert(0, path)


def _arrived_at(settings: Settings, row: dict[str, Any], sessions: list[date]) -> date | None:
    """Return the session whose run was the first to know an upload; its own where none was run; None where none did."""
    runs = {day: find_newest_run(settings.lake, day) for day in sessions if day >= row["last_session"]}
    for day, run in runs.items():
        if run is None or run.bars_version >= (row["bars_version"] or 0):
            return day
    return None


def _retrain(
    settings: Settings, other: Settings, past: _Past, session: date, known: dict[int, int], *, gate: bool
) -> None:
    """Fit again what was fitted through a session; note which version here is which there."""
    names = past.retrains.get(session)
    if names is None:
        return
    train(other, who="simulate-history", names=list(dict.fromkeys(names)), promote=gate)
    there = {(row.kind, row.tags.get("trained_through")): row.version for row in list_versions(settings)}
    for row in list_versions(other):
        origin = there.get((row.kind, row.tags.get("trained_through")))
        if origin is not None:
            known[origin] = row.version


def _follow(settings: Settings, other: Settings, session: date, known: dict[int, int]) -> None:
    """Let the version serve that served when the session was scored."""
    run = find_newest_run(settings.lake, session)
    lines = [line for line in select_model(settings, read_ledger(settings)) if line.to_version is not None]
    if run is not None:
        wanted: int | None = run.model_version
    else:
        wanted = lines[0].to_version if lines else None
    version = known.get(wanted) if wanted is not None else None
    if version is None:
        raise NotFoundError("the version that served must have been fitted again", value=wanted, place=str(session))
    mine = select_model(other, read_ledger(other))
    if not mine or mine[-1].to_version != version:
        promote_version(other, version, who="simulate-history", why=f"version {wanted} served for {session}")


def _compare(settings: Settings, other: Settings, session: date) -> Compared | None:
    """Hold a session's forecasts against the published ones; None where nothing was published."""
    there, here = (find_newest_run(each.lake, session) for each in (settings, other))
    if there is None or here is None:
        return None
    before, now = (read_forecasts(each.lake, run) for each, run in ((settings, there), (other, here)))
    joined = _named(before, "was").join(_named(now, "is"), keys=_KEYS, join_type="inner")
    was, found = (read_floats(joined, name) for name in ("predicted_was", "predicted_is"))
    same = (was == found) | (np.isnan(was) & np.isnan(found))
    same &= np.asarray(pc.equal(joined["status_was"], joined["status_is"]))
    with np.errstate(invalid="ignore"):
        apart = np.abs(found / was - 1)
    largest = float(np.nanmax(apart, initial=0.0))
    return Compared(session, now.num_rows, before.num_rows, int(same.sum()), largest)


def _named(rows: pa.Table, suffix: str) -> pa.Table:
    kept = rows.select([*_KEYS, "predicted", "status"])
    return kept.rename_columns([*_KEYS, f"predicted_{suffix}", f"status_{suffix}"])
