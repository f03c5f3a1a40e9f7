"""A retrain from the snapshot to what serves, in one process: what `closecast train` and the demo do.

The steps are those of the DAG `retrain_weekly`, each with its own record on disk, so that one that was killed is taken
up again: `snapshot`, `fit`, `refits`, `register`, `judge`, `promote`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from include.backtest.walk_forward import OnProgress
from include.errors import ClosecastError
from include.lake.bars import BarCube
from include.settings import Settings
from include.training.fit import Fit, fit_model
from include.training.judge import judge_retrain
from include.training.judgement import Judgement
from include.training.promote import promote_judged
from include.training.record import (
    Retrain,
    begin_retrain,
    choose_models,
    find_unfinished,
    finish_retrain,
    lock_retrain,
)
from include.training.refits import backtest_model
from include.training.register import register_fits
from include.training.snapshot import Snapshot, take_snapshot

_BY_HAND = "by-hand-"


def _ignore(said: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Listeners:
    """Who is told how far a retrain is.

    Attributes
    ----------
    on_snapshot, on_fit, on_backtest
        What was read; how far the fit of a model is, and its refits.
    say
        What is registered and judged, and every wait for MLflow.
    """

    on_snapshot: Callable[[str], None] = _ignore
    on_fit: OnProgress | None = None
    on_backtest: OnProgress | None = None
    say: Callable[[str], None] = _ignore


@dataclass(frozen=True)
class Retrained:
    """What a retrain has led to.

    Attributes
    ----------
    fits
        In the order of their models.
    backtests
        Of each model; see `include.training.refits.backtest_model`.
    serving
        The version that serves now; None where nothing was to be promoted.
    is_resumed
        Whether it went on where another one stopped.
    """

    retrain_id: str
    snapshot: Snapshot
    fits: list[Fit]
    backtests: dict[str, dict[str, float]]
    judgement: Judgement
    serving: int | None
    is_resumed: bool = field(default=False)


def train(
    settings: Settings,
    *,
    who: str,
    names: Sequence[str] = (),
    last_session: date | None = None,
    promote: bool = True,
    listeners: Listeners | None = None,
) -> Retrained:
    """Retrain by hand: take a snapshot, fit, register, judge, and let the verdict take effect.

    Parameters
    ----------
    settings
        The lake, the registry, what shapes a fit.
    who
        For the ledger.
    names
        The models; see `choose_models`.
    last_session
        Use sessions up to it; the newest by default.
    promote
        Whether the verdict takes effect, and is written into the ledger.
    listeners
        See `Listeners`.

    Raises
    ------
    NotFoundError
        A model does not exist.
    InputError
        There are too few sessions.
    BlockedError
        The snapshot fails its validation, or a leak test fails.
    UnavailableError
        MLflow has not answered for long, or the same retrain is at work elsewhere.
    ClosecastError
        A model could not be fitted; nothing was registered, and the fits of the others are kept for the next try.
    """
    names = choose_models(settings, names)
    listeners = listeners or Listeners()
    begun = find_unfinished(settings, _BY_HAND, take_snapshot(settings, last_session=last_session), names)
    retrain_id = begun or f"{_BY_HAND}{uuid.uuid4().hex[:12]}"
    with lock_retrain(settings, retrain_id):
        retrain, cube = begin_retrain(settings, retrain_id, names=names, last_session=last_session)
        snapshot, word = retrain.snapshot, "resumed: " if begun else ""
        listeners.on_snapshot(
            f"{word}{snapshot.sessions} sessions, {len(cube.symbols):,} symbols, bars version {snapshot.bars_version}"
        )
        fits = _fit_all(settings, retrain, cube, listeners)
        backtests = {
            name: backtest_model(settings, retrain, name, cube=cube, on_progress=listeners.on_backtest)
            for name in names
        }
        register_fits(settings, retrain, say=listeners.say)
        judgement = judge_retrain(settings, retrain, say=listeners.say, cube=cube)
        serving = promote_judged(settings, retrain, who=who, say=listeners.say) if promote else None
        finish_retrain(settings, retrain)
    return Retrained(retrain_id, snapshot, fits, backtests, judgement, serving, begun is not None)


def _fit_all(settings: Settings, retrain: Retrain, cube: BarCube, listeners: Listeners) -> list[Fit]:
    """Fit every model; where one fails the others go on, as in the DAG, and then it is said."""
    fits, failed = [], None
    for name in retrain.names:
        try:
            fits.append(fit_model(settings, retrain, name, cube=cube, on_progress=listeners.on_fit))
        except ClosecastError as error:
            listeners.say(f"{name} failed: {error}")
            failed = failed or error
    if failed:
        raise failed
    return fits
