"""Which of several paired differences are above zero, told from few, serially dependent sessions.

A session's market moves all its symbols at once, so the session is the unit and n is some dozens. Two things follow.
Each mean is divided by an error that allows for dependence between sessions, from a few cosine-weighted sums (Lazarus,
Lewis, Stock and Watson 2018, J. Business & Economic Statistics 36(4), 541-559): with n = 60 an error from a kernel, or
none as in `arch.bootstrap.SPA`, calls more equal pairs different. And how large the largest of several such ratios
gets by chance comes from resampled blocks of sessions (stationary bootstrap, Politis and Romano 1994), which keeps the
pairs' own correlation: step-down by maxima, Romano and Wolf 2005 (Econometrica 73(4), 1237-1282), where a pair clearly
below zero no longer counts, Hansen 2005 (J. Business & Economic Statistics 23(4), 365-380).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from include.errors import InputError

Array = npt.NDArray[np.float64]

FEWEST_SESSIONS = 20
"""Below this no dependence between sessions can be estimated, and no test is honest."""

_NUMBERS_AT_A_TIME = 1 << 22
"""Resampled numbers held at once, 32 MiB."""


@dataclass(frozen=True)
class PairedTest:
    """What was found, one entry a pair.

    Attributes
    ----------
    means
        float64 (n_pairs,), mean over sessions, in the unit of the differences.
    lower, upper
        float64 (n_pairs,), interval of each mean by itself, 1 - 2 alpha of it inside.
    p_values
        float64 (n_pairs,), of "the mean is at most zero", adjusted for the number of pairs.
    block
        Mean length of the resampled blocks, in sessions.
    """

    means: Array
    lower: Array
    upper: Array
    p_values: Array
    block: int


def choose_block(n_sessions: int) -> int:
    """Choose the mean block length, in sessions: n^(1/3), rounded up.

    Notes
    -----
    The rate is that of Politis and White 2004 (Econometric Reviews 23(1), 53-70), without their estimate of the factor
    (`arch.bootstrap.optimal_block_length`): from 60 sessions it comes out as anything up to n / 6, and long blocks are
    few blocks, with which more equal pairs were called different. The dependence is in the error already.
    """
    return int(np.ceil(round(n_sessions ** (1 / 3), 9)))


def compare_pairs(differences: Array, *, alpha: float, reps: int, block: int | None, seed: int) -> PairedTest:
    """Test for each pair whether its mean difference is above zero.

    Parameters
    ----------
    differences
        float64 (n_sessions, n_pairs), sessions in order; positive where the challenger did better.
    alpha
        The chance allowed that any pair is called better that is not.
    reps
        How often the sessions are resampled.
    block
        Mean block length in sessions; None chooses, see `choose_block`.
    seed
        Of the resampling: the same seed gives the same numbers.

    Raises
    ------
    InputError
        Fewer than `FEWEST_SESSIONS` sessions, or an alpha, block or number of resamples that cannot answer.
    """
    n = len(differences)
    _require_answerable(n, alpha, reps, block)
    block = block or choose_block(n)
    means, errors = (values[0] for values in _measure(differences[None]))
    ratios = _divide(means, errors)
    # Hansen's threshold: what lies below it is left where it is, so that a hopeless candidate costs the others nothing.
    centres = np.where(ratios < -np.sqrt(2 * np.log(np.log(n))), 0.0, means)
    drawn_means, drawn_errors = _resample(differences, reps=reps, block=block, seed=seed)
    own = _divide(drawn_means - means, drawn_errors)
    low, high = np.quantile(own, [alpha, 1 - alpha], axis=0)
    adjusted = _step_down(ratios, _divide(drawn_means - centres, drawn_errors))
    p_values = np.maximum(adjusted, _share_above(ratios, own))  # a hopeless pair is not held against itself
    return PairedTest(means, means - high * errors, means - low * errors, p_values, block)


def _require_answerable(n: int, alpha: float, reps: int, block: int | None) -> None:
    if n < FEWEST_SESSIONS:
        raise InputError(f"models must be compared on at least {FEWEST_SESSIONS} sessions", value=n)
    if not 0 < alpha < 0.5:
        raise InputError("alpha must be above 0 and below 0.5", value=alpha)
    if reps + 1 < 5 / alpha:
        raise InputError(f"reps must be at least {int(np.ceil(5 / alpha)) - 1} at alpha {alpha:g}", value=reps)
    if block is not None and not 1 <= block <= n // 2:
        raise InputError(f"block must be 1..{n // 2} sessions", value=block)


def _cosines(n: int) -> Array:
    """(n_weights, n) orthonormal cosines, n^(2/3): more than the source advises, for power (docs/gate.md)."""
    orders = np.arange(1, max(4, round(n ** (2 / 3))) + 1)
    return np.asarray(np.sqrt(2 / n) * np.cos(np.pi * np.outer(orders, np.arange(n) + 0.5) / n))


def _measure(samples: Array) -> tuple[Array, Array]:
    """Means over sessions and their standard errors, of samples (n_samples, n, n_pairs)."""
    n = samples.shape[1]
    errors = np.sqrt(np.mean((_cosines(n) @ samples) ** 2, axis=1) / n)
    return samples.mean(axis=1), errors


def _divide(means: Array, errors: Array) -> Array:
    """Means by errors: where nothing varies, zero stays zero and anything else is infinitely many errors away."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(means == 0, 0.0, means / errors)


def _resample(differences: Array, *, reps: int, block: int, seed: int) -> tuple[Array, Array]:
    """Means and standard errors of resampled sessions, (reps, n_pairs) each."""
    n, n_pairs = differences.shape
    batch = max(1, _NUMBERS_AT_A_TIME // (n * n_pairs))
    drawn = _draw_sessions(n, reps, block, seed)
    parts = [_measure(differences[drawn[start : start + batch]]) for start in range(0, reps, batch)]
    return np.concatenate([means for means, _ in parts]), np.concatenate([errors for _, errors in parts])


@lru_cache(maxsize=2)
def _draw_sessions(n: int, reps: int, block: int, seed: int) -> npt.NDArray[np.int64]:
    """(reps, n) positions of the sessions of each resample, blocks of geometric length wrapped round the end.

    Kept, since the families of one verdict are tested on the same resamples.
    """
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, np.arange(n), seed=seed)
    return np.stack([positional[0] for positional, _ in bootstrap.bootstrap(reps)])


def _step_down(ratios: Array, resampled: Array) -> Array:
    """p-values against the largest resampled ratio of the pairs not yet rejected, from the largest ratio down."""
    order = np.argsort(-ratios, kind="stable")
    largest = np.maximum.accumulate(resampled[:, order[::-1]], axis=1)[:, ::-1]
    p_values = np.empty(len(ratios))
    p_values[order] = np.maximum.accumulate(_share_above(ratios[order], largest))
    return p_values


def _share_above(ratios: Array, resampled: Array) -> Array:
    """Share of ratios as large as those found, these themselves counted, so that no p-value is zero."""
    return np.asarray((1 + np.count_nonzero(resampled >= ratios, axis=0)) / (len(resampled) + 1))
