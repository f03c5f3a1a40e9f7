"""The promotion gate on simulated pairs of models: how often it errs, finds a better one, and how long it takes.

equal_*     share of pairs of equal skill of which the challenger is promoted; 0, 3, 5: dependence 0, 0.3, 0.5
better_*    the same of challengers 2 % better; coins, us: daily differences as wide as measured there
The same pairs are judged by arch's SPA at the same level and by the lowest mean loss. In a pair the champion is as good
as the challenger or 2 % worse, and last close 10 % worse: what the gate can be wrong about is one comparison.
seconds     one judgement, 60 sessions x 10,000 symbols x 8 challengers, champion and three naive models (best of three)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.report import Goal, report
from include.console import build_table, out
from include.gate.verdict import ALPHA, judge_challengers

SPREAD_COINS, SPREAD_US = 0.04, 0.008
"""Standard deviation of the daily difference of two linear models' mean absolute errors, as a part of the error, on the
last 240 sessions of the coins and of the US stocks; its autocorrelation was -0.14 to 0.10, its kurtosis 5 to 10."""

FREEDOM = 5
"""Degrees of freedom of Student's t: kurtosis 9."""

GOALS = {
    "equal_0": Goal(at_most=0.05),
    "equal_3": Goal(at_most=0.05),
    "equal_5": Goal(at_most=0.05),
    "any_of_8_equal": Goal(at_most=0.05),
    "better_0": Goal(at_least=0.5),
    "better_us": Goal(at_least=0.9),
    "seconds": Goal(at_most=1.0),
}

Array = npt.NDArray[np.float64]


def simulate_losses(
    rng: np.random.Generator,
    skills: Mapping[str, float],
    *,
    n_sessions: int = 60,
    n_symbols: int = 50,
    dependence: float = 0.3,
    spread: float = SPREAD_COINS,
) -> dict[str, Array]:
    """Give absolute errors of models on the same outcomes, (n_sessions, n_symbols) each.

    Parameters
    ----------
    rng
        Draws everything.
    skills
        Each model's expected loss, as a part of an ordinary one.
    dependence
        Autocorrelation of how well a model does from session to session, the same for all symbols of a session.
    spread
        Standard deviation over sessions of the difference between two models of equal skill, as a part of the loss.

    Notes
    -----
    Outcomes are a market's and a symbol's own, of Student's t, with a volatility that lasts; a model's error is the
    outcome's size times what the model makes of that session and of that symbol in it.
    """
    shape = (n_sessions, n_symbols)
    volatility = np.exp(0.5 * _persist(rng, n_sessions, 0.9))
    market = rng.standard_t(FREEDOM, size=(n_sessions, 1))
    sizes = volatility[:, None] * np.abs(market + rng.standard_t(FREEDOM, size=shape))
    made = {}
    for name, skill in skills.items():
        own = np.exp(0.1 * rng.standard_normal(shape) - 0.005)
        made[name] = sizes * own * skill * (1 + spread / np.sqrt(2) * _persist(rng, n_sessions, dependence))[:, None]
    return made


def _persist(rng: np.random.Generator, n_sessions: int, dependence: float) -> Array:
    """(n_sessions,) heavy-tailed, autocorrelated, of variance one, from its settled state on."""
    shocks = rng.standard_t(FREEDOM, size=n_sessions + 50) * np.sqrt((1 - dependence**2) * (FREEDOM - 2) / FREEDOM)
    state, states = 0.0, []
    for shock in shocks:
        state = dependence * state + shock
        states.append(state)
    return np.array(states[50:])


def is_promoted(losses: Mapping[str, Array], *, seed: int, reps: int = 999) -> bool:
    """Whether the gate promotes the challenger."""
    return judge_challengers(losses, "champion", ["last_close"], seed=seed, reps=reps).promoted == "challenger"


def beats_by_spa(losses: Mapping[str, Array], *, seed: int, reps: int = 999) -> bool:
    """Whether arch's SPA calls the challenger better than both, each at the gate's level."""
    from arch.bootstrap import SPA

    by_session = {name: values.mean(axis=1) for name, values in losses.items()}
    for other in ("champion", "last_close"):
        spa = SPA(by_session[other], by_session["challenger"], reps=reps, seed=seed)
        spa.compute()
        if spa.pvalues["consistent"] > ALPHA:
            return False
    return True


def judge_pairs(pairs: int, *, skill: float, dependence: float, spread: float, start: int) -> dict[str, float]:
    """Give the shares of pairs whose challenger each rule promotes."""
    promoted = dict.fromkeys(("gate", "spa", "lowest mean"), 0)
    for seed in range(start, start + pairs):
        rng = np.random.default_rng(seed)
        skills = {"champion": 1.0, "last_close": 1.1, "challenger": skill}
        losses = simulate_losses(rng, skills, dependence=dependence, spread=spread)
        promoted["gate"] += is_promoted(losses, seed=seed)
        promoted["spa"] += beats_by_spa(losses, seed=seed)
        promoted["lowest mean"] += bool(losses["challenger"].mean() < losses["champion"].mean())
    return {rule: count / pairs for rule, count in promoted.items()}


def judge_families(families: int, *, challengers: int, start: int) -> float:
    """Give the share of families of challengers, all as good as the champion, of which any is promoted."""
    promoted = 0
    for seed in range(start, start + families):
        skills = {"champion": 1.0, "last_close": 1.1} | {f"challenger_{k}": 1.0 for k in range(challengers)}
        losses = simulate_losses(np.random.default_rng(seed), skills)
        promoted += judge_challengers(losses, "champion", ["last_close"], seed=seed, reps=999).promoted is not None
    return promoted / families


def measure_seconds(symbols: int) -> float:
    """Return the seconds of one judgement, guard on deciles included; the import of arch is apart."""
    rng = np.random.default_rng(0)
    names = ["champion", "last_close", "seasonal_naive", "drift_naive", *(f"challenger_{k}" for k in range(8))]
    losses = simulate_losses(rng, dict.fromkeys(names, 1.0), n_symbols=symbols)
    volatility = rng.random((60, symbols))
    taken = []
    for seed in range(4):
        started = time.perf_counter()
        judge_challengers(losses, "champion", names[1:4], volatility=volatility, seed=seed)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def main() -> int:
    """Judge pairs of each kind, print the shares by rule, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate_power",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=1000, help="of each kind")
    given = parser.parse_args()
    kinds = {
        "equal_0": (1.0, 0.0, SPREAD_COINS),
        "equal_3": (1.0, 0.3, SPREAD_COINS),
        "equal_5": (1.0, 0.5, SPREAD_COINS),
        "better_0": (0.98, 0.0, SPREAD_COINS),
        "better_3": (0.98, 0.3, SPREAD_COINS),
        "better_us": (0.98, 0.3, SPREAD_US),
    }
    measured, rows = {}, []
    for index, (kind, (skill, dependence, spread)) in enumerate(kinds.items()):
        start = index * given.pairs
        shares = judge_pairs(given.pairs, skill=skill, dependence=dependence, spread=spread, start=start)
        measured[kind] = shares["gate"]
        rows.append([kind, *(f"{share:.3f}" for share in shares.values())])
    out.print(build_table("share promoted", ["pairs", *shares], rows))
    measured["any_of_8_equal"] = judge_families(given.pairs, challengers=8, start=10**6)
    measured["seconds"] = measure_seconds(10_000)
    measured["pairs"] = given.pairs
    return 0 if report("gate_power", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
