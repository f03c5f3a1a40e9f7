"""What serves, as a retrain judges it: its own artifact, on sessions that it was not fitted on.

A naive champion learns nothing: it is that naive model, on all held-out sessions. Where its graph gives no
finite number it is measured by the last close, which is what scoring then publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from include.backtest.heldout import JUDGED_SESSIONS, HeldOut, Losses, combine_losses, forecast_held_out
from include.errors import NotFoundError
from include.lake.bars import BarCube
from include.registry.api import Registry
from include.registry.artifact import ModelVersion, read_canonical
from include.registry.open import open_registry
from include.registry.resolve import resolve_version
from include.settings import Settings
from include.training.fit import Fit
from include.training.overrides import read_words

CHAMPION = "champion"
"""Its name among the judged, unless it is a naive model."""


@dataclass(frozen=True)
class Champion:
    """What serves when a retrain is judged.

    Attributes
    ----------
    version
        In the registry, its graph on this machine.
    clean_from
        First session that it was not fitted on; None where nobody knows.
    naive
        Which of the judged naive models it is, by its graph; None where it is none of them.
    """

    version: ModelVersion
    clean_from: date | None
    naive: str | None = None

    @property
    def name(self) -> str:
        """The name under which it is judged."""
        return self.naive or CHAMPION


def find_champion(settings: Settings, fits: Sequence[Fit] = ()) -> Champion | None:
    """Find what serves now; None where nothing does.

    Of what its version says nothing is trusted that a gate has written down by the graph's hash, and it is naive only
    where its graph is that of one of the naive `fits`.

    Raises
    ------
    UnavailableError
        The registry does not answer.
    """
    registry = open_registry(settings)
    try:
        version = resolve_version(settings)
    except NotFoundError:
        return None
    return Champion(version, _find_clean(settings, registry, version), _find_naive(version, fits))


def _find_clean(settings: Settings, registry: Registry, version: ModelVersion) -> date | None:
    """Find the first session that a version was not fitted on: by the gate that judged it, else by its own tag."""
    if word := read_words(settings).get(version.onnx_sha256):
        return word.clean_from
    row = registry.look().versions.get(version.version)  # a deleted one serves on from the cache
    is_same = row is not None and row.tags.get("onnx_sha256") == version.onnx_sha256
    return _read_day(row.tags.get("holdout_from", "")) if row and is_same else None


def _find_naive(version: ModelVersion, fits: Sequence[Fit]) -> str | None:
    assert version.onnx is not None  # a resolved version has its graph
    graph = read_canonical(version.onnx)
    return next((fit.kind for fit in fits if fit.is_naive and read_canonical(fit.graph) == graph), None)


def _read_day(text: str) -> date | None:
    """Read a tag that anyone who may change the registry can have changed."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def count_unjudgeable(champion: Champion | None, held: HeldOut) -> int:
    """Count the oldest held-out sessions on which a champion cannot be judged; all of them where it never can.

    It cannot on those that it was fitted on, and on none at all where nobody knows which those are, or where it looks
    back further than a judged window.
    """
    if champion is None or champion.naive:
        return 0
    if champion.clean_from is None or champion.version.lookback > JUDGED_SESSIONS:
        return len(held.sessions)
    return sum(session < champion.clean_from for session in held.sessions)


def measure_champion(champion: Champion, cube: BarCube, held: HeldOut, *, threads: int) -> Losses:
    """Return the losses of the champion's artifact, (n_sessions, n_symbols)."""
    assert champion.version.onnx is not None  # a resolved version has its graph
    lookback = champion.version.lookback
    forecasts = forecast_held_out(champion.version.onnx, cube, held, lookback=lookback, threads=threads)
    silent = held.cells & ~np.isfinite(forecasts).all(axis=-1)
    forecasts[silent] = 0.0
    return combine_losses(held, forecasts)
