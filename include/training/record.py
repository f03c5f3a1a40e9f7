"""The record of a retrain on disk: a folder for each step, see `include.training.done`, the snapshot's first of all.

What goes from step to step through Airflow is the retrain's id and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from include.disk import explain_disk
from include.errors import InputError, NotFoundError, UnavailableError
from include.gate.columns import check_columns
from include.lake.bars import BarCube
from include.provenance import code_version
from include.quality.drift import FEWEST_SESSIONS, build_reference
from include.registry.artifact import hash_file
from include.registry.reference import REFERENCE
from include.settings import Settings
from include.training.done import DONE, is_done, run_step, write_json
from include.training.snapshot import Snapshot, hash_content, read_snapshot, take_snapshot
from models.catalog import MODEL_NAMES

KEPT_RETRAINS = 2
AT_WORK = timedelta(days=1)
"""A retrain that has written nothing for so long, and that no process holds, is given up: a DAG's retries are over."""

MEASURE = "last_close"
"""Takes part in every retrain: the naive model that all others are measured by."""

_LONGEST_NAME = 200
"""Of a run's id of up to 250 characters: a file system takes 255, and a lock's file has more than the name."""
_SNAPSHOT, _FINISHED = "snapshot", "finished.json"


@dataclass(frozen=True)
class Retrain:
    """A retrain that was begun.

    Attributes
    ----------
    names
        The models that take part.
    content_sha256
        Of the snapshot's bars; see `include.training.snapshot.hash_content`.
    leaks
        What the leak tests of the snapshot measured.
    snapshot_sha256
        Of the snapshot's record, which every other step builds on.
    """

    retrain_id: str
    folder: Path
    snapshot: Snapshot
    names: tuple[str, ...]
    content_sha256: str
    code_version: str
    settings_hash: str
    leaks: dict[str, Any]
    snapshot_sha256: str

    @property
    def basis(self) -> dict[str, str]:
        """What every step behind the snapshot builds on."""
        return {"snapshot": self.snapshot_sha256}

    def step(self, *names: str) -> Path:
        """Return the folder of a step."""
        return self.folder.joinpath(*names)

    def request(self, step: str) -> str:
        """Return what every try of a step has in common, for the registry and the ledger."""
        return f"{self.retrain_id} {step}"


def name_retrain(run_id: str) -> str:
    """Turn the id of a run into the name of a folder, another for each.

    Examples
    --------
    >>> name_retrain("manual-7")
    'manual-7'
    >>> name_retrain("scheduled__2026-03-01T03:00:00+00:00")
    'scheduled__2026-03-01T03-00-00-00-00-d0ff0e'
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", run_id).lstrip(".")
    if plain == run_id and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(run_id.encode()).hexdigest()[:6]}"


def begin_retrain(
    settings: Settings, retrain_id: str, *, names: Sequence[str] = MODEL_NAMES, last_session: date | None = None
) -> tuple[Retrain, BarCube]:
    """Take the snapshot and write it down; a retrain that was begun is opened.

    A snapshot that other code or settings have taken, or that is damaged, is taken anew: what was fitted on the old one
    does not count any more.

    Raises
    ------
    NotFoundError
        A model does not exist.
    InputError
        There are too few sessions.
    BlockedError
        The snapshot fails its validation, or a leak test.
    """
    require_known(names)
    found: list[BarCube] = []

    def work(folder: Path) -> None:
        snapshot = take_snapshot(settings, last_session=last_session)
        found.append(cube := read_snapshot(settings, snapshot))
        cut = cube.sessions.index(snapshot.holdout_from)
        said = {
            "snapshot": asdict(snapshot),
            "names": list(names),
            "content_sha256": hash_content(cube),
            "code_version": code_version(),
            "settings_hash": settings.fingerprint(),
            "leaks": check_columns(settings, cube, cut),
        }
        _write_reference(cube, folder / REFERENCE)
        write_json(folder / "snapshot.json", said)

    basis = {"code_version": code_version(), "settings_hash": settings.fingerprint()}
    try:
        run_step(settings.training / retrain_id / _SNAPSHOT, work, basis=basis)
    finally:
        _remove_empty(settings)
    retrain = open_retrain(settings, retrain_id)
    return retrain, found[0] if found else read_bars(settings, retrain)


def choose_models(settings: Settings, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Choose the models of a retrain: those named, or those of the setting, or all; `MEASURE` takes part as well.

    Raises
    ------
    NotFoundError
        A model does not exist.
    """
    listed = tuple(name.strip() for name in (settings.models or "").split(",") if name.strip())
    chosen = tuple(names) or listed or MODEL_NAMES
    require_known(chosen)
    return chosen if MEASURE in chosen else (MEASURE, *chosen)


def require_known(names: Sequence[str]) -> None:
    """Refuse a model that does not exist, before anything is fitted.

    Raises
    ------
    NotFoundError
        Names it, and those that there are.
    """
    if unknown := [name for name in names if name not in MODEL_NAMES]:
        raise NotFoundError(f"model must be one of {', '.join(MODEL_NAMES)}", value=unknown[0])


def _write_reference(cube: BarCube, path: Path) -> None:
    """Write what drift is judged by: the snapshot's newest sessions, those held out included, which judged the model.

    A snapshot too short to say how its sessions differ gets none.
    """
    if len(cube.sessions) > FEWEST_SESSIONS:
        path.write_text(build_reference(cube.values, cube.sessions).to_json())


def open_retrain(settings: Settings, retrain_id: str) -> Retrain:
    """Open a retrain that was begun.

    Raises
    ------
    NotFoundError
        There is no such retrain, or its snapshot was not finished.
    InputError
        It was begun with other settings or code: what is registered would not be what was fitted.
    """
    retrain = _read_retrain(settings, retrain_id)
    now = {"settings": (settings.fingerprint(), retrain.settings_hash), "code": (code_version(), retrain.code_version)}
    for name, (found, begun) in now.items():
        if found != begun:
            rule = f"a retrain must go on with the {name} that it was begun with: set back the {name}, or begin another"
            raise InputError(rule, value=f"{name} {found} in place of {begun}", place=str(retrain.folder))
    return retrain


def _read_retrain(settings: Settings, retrain_id: str) -> Retrain:
    """Read the record of a retrain that was begun, whatever the settings were."""
    folder = settings.training / retrain_id
    if not is_done(folder / _SNAPSHOT):
        raise NotFoundError("a retrain must have taken its snapshot", value=retrain_id, place=str(folder))
    path = folder / _SNAPSHOT / "snapshot.json"
    said = json.loads(path.read_text()) | {"snapshot_sha256": hash_file(path)}
    days = {key: date.fromisoformat(said["snapshot"][key]) for key in ("first_session", "last_session", "holdout_from")}
    said |= {"snapshot": Snapshot(**{**said["snapshot"], **days}), "names": tuple(said["names"])}
    return Retrain(retrain_id=retrain_id, folder=folder, **said)


def read_bars(settings: Settings, retrain: Retrain) -> BarCube:
    """Read the snapshot's bars again.

    Raises
    ------
    InputError
        They are others than those that the snapshot was taken of.
    """
    cube = read_snapshot(settings, retrain.snapshot)
    if (found := hash_content(cube)) != retrain.content_sha256:
        rule = "a snapshot must hold the same bars at every step: have the symbol changes been edited?"
        raise InputError(rule, value=f"{found[:16]} in place of {retrain.content_sha256[:16]}", place="bars")
    return cube


def find_unfinished(settings: Settings, prefix: str, snapshot: Snapshot, names: Sequence[str]) -> str | None:
    """Return the newest retrain, of those whose id begins so, that stopped and would be begun just so again."""
    wanted = (snapshot, tuple(names), code_version(), settings.fingerprint())
    for folder in reversed(_list_retrains(settings)):
        if not folder.name.startswith(prefix) or (folder / _FINISHED).exists():
            continue
        try:
            found = _read_retrain(settings, folder.name)
        except (NotFoundError, TypeError):  # a damaged record, or one as another release writes it
            continue
        if (found.snapshot, found.names, found.code_version, found.settings_hash) == wanted:
            return found.retrain_id
    return None


def finish_retrain(settings: Settings, retrain: Retrain) -> None:
    """Mark a retrain as finished and remove the records of all but the newest, and of none that may be at work."""
    with explain_disk("the record of a retrain", str(retrain.folder)):
        write_json(retrain.folder / _FINISHED, {"retrain_id": retrain.retrain_id})
    for folder in _list_retrains(settings)[:-KEPT_RETRAINS]:
        if folder != retrain.folder and not _may_be_at_work(settings, folder):
            shutil.rmtree(folder, ignore_errors=True)
            _lock_file(settings, folder.name).unlink(missing_ok=True)


def _may_be_at_work(settings: Settings, folder: Path) -> bool:
    """Whether a retrain has not finished and a process holds one of its locks, or wrote to it within `AT_WORK`."""
    if (folder / _FINISHED).exists():
        return False
    if is_locked(_lock_file(settings, folder.name)) or any(is_locked(path) for path in folder.rglob(".*.lock")):
        return True
    newest = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
    return time.time() - newest < AT_WORK.total_seconds()


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock's file."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _remove_empty(settings: Settings) -> None:
    """Remove what is left of retrains that failed or died before their snapshot; one that is at it holds its lock."""
    for folder in settings.training.glob("*/"):
        lock = folder / f".{_SNAPSHOT}.lock"
        if lock.exists() and not (folder / _SNAPSHOT / DONE).exists() and not is_locked(lock):
            shutil.rmtree(folder, ignore_errors=True)
            _lock_file(settings, folder.name).unlink(missing_ok=True)


def _list_retrains(settings: Settings) -> list[Path]:
    """Folders of the retrains that took their snapshot, the newest last."""
    markers = settings.training.glob(f"*/{_SNAPSHOT}/{DONE}")
    return [marker.parent.parent for marker in sorted(markers, key=lambda path: path.stat().st_mtime_ns)]


@contextmanager
def lock_retrain(settings: Settings, retrain_id: str) -> Iterator[None]:
    """Hold the lock of whoever carries all of a retrain out in one process.

    Raises
    ------
    UnavailableError
        Another process is at it.
    """
    path = _lock_file(settings, retrain_id)
    with explain_disk("the record of a retrain", str(path)):
        settings.training.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise UnavailableError("no other process may be at the same retrain", place=str(path)) from error


def _lock_file(settings: Settings, retrain_id: str) -> Path:
    return settings.training / f".{retrain_id}.lock"
