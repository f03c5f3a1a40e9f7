"""What a retrain reads: bars at one version, cut in two, and the proof that every step read the same.

No model is fitted on a window whose target lies in the held-out sessions behind the cut; all are judged on those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import numpy as np

from include.errors import InputError
from include.lake.bars import BarCube, open_bars, read_cube
from include.lake.files import list_sessions
from include.lake.identity_file import load_symbol_changes
from include.quality.snapshot import require_valid_snapshot
from include.settings import Settings


@dataclass(frozen=True)
class Snapshot:
    """What a retrain reads, and where it cuts.

    Attributes
    ----------
    bars_version
        The pinned version of bars.
    first_session, last_session
        The sessions it reads.
    holdout_from
        First held-out session: forecasts of it and of later ones judge, and were never fitted on.
    """

    bars_version: int
    first_session: date
    last_session: date
    holdout_from: date
    sessions: int
    holdout_sessions: int


def fewest_sessions(settings: Settings) -> int:
    """Return how many sessions bars must hold for a retrain."""
    return max(30, 2 * settings.holdout_sessions)


def take_snapshot(settings: Settings, *, last_session: date | None = None) -> Snapshot:
    """Pin the newest version of bars and decide the cut.

    Raises
    ------
    InputError
        There are too few sessions to fit on and hold some out.
    """
    bars = open_bars(settings.lake)
    sessions = [day for day in list_sessions(bars) if last_session is None or day <= last_session]
    holdout = settings.holdout_sessions
    if len(sessions) < (fewest := fewest_sessions(settings)):
        raise InputError(f"bars must hold at least {fewest} sessions to train on", value=len(sessions), place="bars")
    return Snapshot(int(bars.version()), sessions[0], sessions[-1], sessions[-holdout], len(sessions), holdout)


def read_snapshot(settings: Settings, snapshot: Snapshot) -> BarCube:
    """Read all bars of a snapshot, once they have passed its validation.

    Raises
    ------
    BlockedError
        The snapshot fails its validation: nothing may be trained on it.
    """
    bars = open_bars(settings.lake, version=snapshot.bars_version)
    sessions = [day for day in list_sessions(bars) if snapshot.first_session <= day <= snapshot.last_session]
    cube = read_cube(bars, sessions, changes=load_symbol_changes(settings))
    require_valid_snapshot(settings, cube, snapshot.last_session)
    return cube


def hash_content(cube: BarCube) -> str:
    """Return the SHA-256 of sessions, symbols and every number of a cube, as hexadecimal text."""
    named = "\0".join([*(day.isoformat() for day in cube.sessions), *map(str, cube.symbols)])
    found = hashlib.sha256(f"{cube.values.shape}\0{named}".encode())
    found.update(np.ascontiguousarray(cube.values).data)
    return found.hexdigest()
