"""What a challenger must keep besides being better: bounds as data, each check named, with its value and its limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Losses = npt.NDArray[np.floating[Any]]
Deciles = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GateLimits:
    """The bounds.

    Attributes
    ----------
    smallest_gain
        Part of the loss of each model that it must beat by which a challenger's is lower at least: over many sessions a
        gain of no use is still beyond chance.
    worst_decile
        Part by which its loss may exceed the champion's (without one, the best naive model's) in any decile of
        volatility.
    coverage_margin
        How far the share of targets inside an interval may be from the interval's own level.
    latency_s, size_bytes
        Most seconds for one scoring, most bytes of the artifact.
    rerun_difference
        Largest difference between two runs on the same input, log return.
    """

    smallest_gain: float = 0.001
    worst_decile: float = 0.02
    coverage_margin: float = 0.05
    latency_s: float = 1.0
    size_bytes: int = 200_000_000
    rerun_difference: float = 1e-6


@dataclass(frozen=True)
class ModelFacts:
    """What was measured of a challenger besides its losses; None was not, and the verdict says so.

    Attributes
    ----------
    coverage
        Level of an interval in percent to the share of targets inside it, such as {80: 0.79}.
    """

    coverage: Mapping[int, float] | None = None
    latency_s: float | None = None
    size_bytes: int | None = None
    rerun_difference: float | None = None


@dataclass(frozen=True)
class Check:
    """One guard: a value, None where it is no number, and the bounds that it must keep, both included."""

    name: str
    value: float | None
    at_least: float | None
    at_most: float | None
    holds: bool


def check_bounds(name: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> Check:
    """Hold a value against its bounds; what is not a finite number keeps none.

    Examples
    --------
    >>> check_bounds("latency_s", 0.4, at_most=1.0).holds
    True
    """
    above = at_least is None or value >= at_least
    holds = bool(np.isfinite(value) and above and (at_most is None or value <= at_most))
    return Check(name, float(value) if np.isfinite(value) else None, at_least, at_most, holds)


def check_facts(facts: ModelFacts, limits: GateLimits) -> tuple[list[Check], list[str]]:
    """Hold what was measured against the limits; give the checks, and the names of those that nothing was given for."""
    margin = limits.coverage_margin
    checks = [
        check_bounds(f"coverage_{level}", share, at_least=level / 100 - margin, at_most=level / 100 + margin)
        for level, share in (facts.coverage or {}).items()
    ]
    unchecked = [] if facts.coverage else ["coverage"]
    for name in ("latency_s", "size_bytes", "rerun_difference"):
        if (value := getattr(facts, name)) is None:
            unchecked.append(name)
        else:
            checks.append(check_bounds(name, value, at_most=getattr(limits, name)))
    return checks, unchecked


def worst_decile(losses: Losses, other: Losses, deciles: Deciles) -> float:
    """Give the largest part, over deciles, by which a model's mean loss exceeds another's; not a number without cells.

    Parameters
    ----------
    losses, other
        (n_cells,), of the model and of the other.
    deciles
        From `split_deciles`.
    """
    known = deciles >= 0
    own, others = (np.bincount(deciles[known], weights=values[known]) for values in (losses, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.where(own == others, 0.0, own / others - 1)
    return float(excess.max(initial=-1.0)) if known.any() else float("nan")
