"""Who serves next: a challenger better beyond chance than the champion and than every naive model, and sound besides.

Arrays in, verdict out: what the losses are of, where they come from, what follows from the verdict is for the caller.
Every model is judged on the same cells, those for which the champion and all naive models have a loss; a challenger
that says nothing in one of them fails, so that silence never pays. In a session all symbols weigh the same, as in the
errors shown elsewhere, and all sessions weigh the same, however many symbols they have. docs/gate.md has the reasons
and the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from include.backtest.cohorts import split_deciles
from include.errors import InputError
from include.gate.guards import (
    Check,
    Deciles,
    GateLimits,
    Losses,
    ModelFacts,
    check_bounds,
    check_facts,
    worst_decile,
)
from include.gate.paired import Array, choose_block, compare_pairs

ALPHA = 0.01
"""Chance allowed of a promotion without merit. On few, dependent sessions of uneven volatility the test errs by more
than that: at 0.01, 2 to 4 of 100 simulated pairs of equal skill are promoted, and 4 to 5 of 100 on the coins' real
losses (docs/gate.md)."""

REPS = 1999


@dataclass(frozen=True)
class Comparison:
    """A model beside another on the same sessions.

    Attributes
    ----------
    mean_difference
        Mean over sessions of the other's loss less the model's: positive where the model is better.
    lower, upper
        Interval of that mean by itself, 1 - 2 alpha of it inside.
    gain
        The difference as a part of the other's loss.
    p_value
        Of "not better", with the number of comparisons allowed for.
    """

    model: str
    other: str
    mean_difference: float
    lower: float
    upper: float
    gain: float
    p_value: float
    is_better: bool


@dataclass(frozen=True)
class ChallengerVerdict:
    """What was found about one challenger.

    Attributes
    ----------
    loss
        Mean over sessions, None where a loss is missing.
    passes
        It is better in all comparisons and holds in all checks.
    comparisons
        With the champion and each naive model; none where a loss is missing.
    checks, unchecked
        Every guard, and the names of those for which nothing was given.
    """

    name: str
    loss: float | None
    passes: bool
    comparisons: tuple[Comparison, ...]
    checks: tuple[Check, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True)
class GateVerdict:
    """Who serves next, and every number that led there.

    Attributes
    ----------
    promoted
        The challenger that passes, the one with the lowest loss of several; None where none does.
    serves
        `promoted`; else the best naive model where there is no champion or it beats the champion; else the champion.
    best_naive
        The naive model with the lowest loss.
    losses
        Of the champion and the naive models, mean over sessions.
    naive_comparisons
        Each naive model beside the champion: a family of tests by itself.
    block
        Mean length of the resampled blocks, in sessions.
    n_cells
        Pairs of session and symbol that were judged.
    """

    promoted: str | None
    serves: str
    champion: str | None
    best_naive: str
    losses: dict[str, float]
    challengers: tuple[ChallengerVerdict, ...]
    naive_comparisons: tuple[Comparison, ...]
    limits: GateLimits
    alpha: float
    reps: int
    block: int
    seed: int
    n_sessions: int
    n_cells: int

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain values that JSON takes."""
        return asdict(self)


@dataclass(frozen=True)
class _Judged:
    """The cells that count, (n_sessions, n_symbols), and of each model without a gap its mean loss in each session."""

    cells: npt.NDArray[np.bool_]
    by_session: dict[str, Array]
    missing: dict[str, int]

    def mean(self, name: str) -> float:
        """Mean loss over sessions."""
        return float(self.by_session[name].mean())


@dataclass(frozen=True)
class _Test:
    """How every pair of a verdict is compared."""

    alpha: float
    reps: int
    block: int
    seed: int
    smallest_gain: float


def judge_challengers(
    losses: Mapping[str, Losses],
    champion: str | None,
    naives: Sequence[str],
    *,
    alpha: float = ALPHA,
    reps: int = REPS,
    block: int | None = None,
    seed: int = 7,
    volatility: Losses | None = None,
    facts: Mapping[str, ModelFacts] | None = None,
    limits: GateLimits | None = None,
) -> GateVerdict:
    """Judge every challenger against the champion and all naive models on the same sessions.

    Parameters
    ----------
    losses
        Each model's losses, (n_sessions, n_symbols), sessions in order, lower is better, NaN where there is none. No
        model may have been fitted on these sessions. All that are neither champion nor naive are challengers.
    champion
        Who serves now, or None. May be one of the naive models.
    naives
        The models that a challenger must beat whoever serves; at least one.
    alpha, reps, block, seed
        See `include.gate.paired.compare_pairs`; alpha is for all challengers together.
    volatility
        (n_sessions, n_symbols), known before the session, for the guard on deciles; NaN is left out.
    facts
        What else was measured of the challengers, by name.
    limits
        The guards' bounds.

    Raises
    ------
    InputError
        A model named has no losses, shapes differ, no cell has losses of the champion and all naive models, or too few
        sessions have one.
    """
    standing = list(dict.fromkeys([*([champion] if champion else []), *naives]))
    _require_comparable(losses, standing, naives, volatility)
    limits = limits or GateLimits()
    judged = _judge_cells(losses, standing)
    challengers = [name for name in losses if name not in standing]
    pairs = [(name, other) for name in challengers if name in judged.by_session for other in standing]
    rivals = [(name, champion) for name in naives if champion and name != champion]
    n_sessions = len(judged.by_session[standing[0]])
    block = block or choose_block(n_sessions)
    test = _Test(alpha, reps, block, seed, limits.smallest_gain)
    found, naive_found = _compare(judged, pairs, test), _compare(judged, rivals, test)
    best_naive = min(naives, key=judged.mean)
    reference, deciles = champion or best_naive, None if volatility is None else split_deciles(judged.cells, volatility)
    verdicts = []
    for name in challengers:
        own = tuple(one for one in found if one.model == name)
        excess = _measure_deciles(losses, name, reference, judged, deciles)
        checks, unchecked = _check(judged.missing[name], excess, (facts or {}).get(name, ModelFacts()), limits)
        passes = bool(own) and all(one.is_better for one in own) and all(check.holds for check in checks)
        loss = judged.mean(name) if name in judged.by_session else None
        verdicts.append(ChallengerVerdict(name, loss, passes, own, tuple(checks), tuple(unchecked)))
    promoted = min((one.name for one in verdicts if one.passes), key=judged.mean, default=None)
    return GateVerdict(
        promoted=promoted,
        serves=promoted or _choose_standing(champion, best_naive, naive_found),
        champion=champion,
        best_naive=best_naive,
        losses={name: judged.mean(name) for name in standing},
        challengers=tuple(verdicts),
        naive_comparisons=naive_found,
        limits=limits,
        alpha=alpha,
        reps=reps,
        block=block,
        seed=seed,
        n_sessions=n_sessions,
        n_cells=int(np.count_nonzero(judged.cells)),
    )


def _require_comparable(
    losses: Mapping[str, Losses], standing: Sequence[str], naives: Sequence[str], volatility: Losses | None
) -> None:
    if not naives:
        raise InputError("the gate needs at least one naive model", value=0)
    if unknown := [name for name in standing if name not in losses]:
        raise InputError("the champion and every naive model must have losses", value=unknown[0])
    shapes = {name: values.shape for name, values in losses.items()}
    if volatility is not None:
        shapes["volatility"] = volatility.shape
    expected = shapes[standing[0]]
    if wrong := [name for name, shape in shapes.items() if shape != expected or len(shape) != 2]:
        rule = f"losses must all be (n_sessions, n_symbols), here {expected}"
        raise InputError(rule, value=shapes[wrong[0]], place=wrong[0])


def _judge_cells(losses: Mapping[str, Losses], standing: Sequence[str]) -> _Judged:
    """Find the cells that all standing models have a loss for, and every model's mean of them by session.

    Raises
    ------
    InputError
        There is none.
    """
    cells = np.logical_and.reduce([np.isfinite(losses[name]) for name in standing])
    counts = cells.sum(axis=1)
    if not counts.any():
        raise InputError("at least one cell must have losses of the champion and all naive models", value=0)
    by_session, missing = {}, {}
    for name, values in losses.items():
        sums = np.asarray(np.sum(values, axis=1, where=cells, dtype=np.float64))
        missing[name] = 0 if np.isfinite(sums).all() else int(np.count_nonzero(cells & ~np.isfinite(values)))
        if not missing[name]:
            by_session[name] = sums[counts > 0] / counts[counts > 0]
    return _Judged(cells, by_session, missing)


def _subtract(judged: _Judged, pairs: Sequence[tuple[str, str]]) -> Array:
    """(n_sessions, n_pairs): the other's loss less the model's."""
    return np.stack([judged.by_session[other] - judged.by_session[model] for model, other in pairs], axis=1)


def _compare(judged: _Judged, pairs: Sequence[tuple[str, str]], test: _Test) -> tuple[Comparison, ...]:
    """Compare each pair, as one family."""
    if not pairs:
        return ()
    differences = _subtract(judged, pairs)
    found = compare_pairs(differences, alpha=test.alpha, reps=test.reps, block=test.block, seed=test.seed)
    comparisons = []
    for k, (model, other) in enumerate(pairs):
        mean, loss, p_value = float(found.means[k]), judged.mean(other), float(found.p_values[k])
        gain = mean / loss if loss else 0.0
        is_better = p_value <= test.alpha and gain >= test.smallest_gain
        interval = float(found.lower[k]), float(found.upper[k])
        comparisons.append(Comparison(model, other, mean, *interval, gain, p_value, is_better))
    return tuple(comparisons)


def _measure_deciles(
    losses: Mapping[str, Losses], name: str, reference: str, judged: _Judged, deciles: Deciles | None
) -> float | None:
    """Worst decile's excess over the reference, or None where no volatility was given."""
    if deciles is None:
        return None
    return worst_decile(losses[name][judged.cells], losses[reference][judged.cells], deciles)


def _check(missing: int, excess: float | None, facts: ModelFacts, limits: GateLimits) -> tuple[list[Check], list[str]]:
    """Every guard of one challenger, and the names of those for which nothing was given."""
    checks, unchecked = check_facts(facts, limits)
    if excess is None:
        unchecked.insert(0, "worst_decile")
    else:
        checks.insert(0, check_bounds("worst_decile", excess, at_most=limits.worst_decile))
    return [check_bounds("missing_losses", missing, at_most=0), *checks], unchecked


def _choose_standing(champion: str | None, best_naive: str, found: Sequence[Comparison]) -> str:
    """Who serves where no challenger is promoted."""
    beaten = any(one.is_better for one in found if one.model == best_naive)
    return best_naive if champion is None or beaten else champion
