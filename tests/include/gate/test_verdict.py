from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.gate_power import SPREAD_US, is_promoted, simulate_losses
from include.errors import InputError
from include.gate.guards import GateLimits, ModelFacts
from include.gate.verdict import ALPHA, ChallengerVerdict, Comparison, GateVerdict, judge_challengers

SHAPE = (60, 30)
SEEDS_OF_PAIRS = 52_000_000
"""None of them took part when the gate's level was chosen."""

SOUND = ModelFacts(coverage={80: 0.81, 95: 0.93}, latency_s=0.4, size_bytes=1_000_000, rerun_difference=0.0)


def make_losses(**skills: float) -> dict[str, np.ndarray]:
    """Losses of about those sizes; a champion and last close are always there."""
    return simulate_losses(
        np.random.default_rng(3),
        {"champion": 1.0, "last_close": 1.1} | skills,
        n_sessions=SHAPE[0],
        n_symbols=SHAPE[1],
        spread=SPREAD_US,
    )


def judge(losses: dict[str, np.ndarray], champion: str | None = "champion", **given: object) -> GateVerdict:
    return judge_challengers(losses, champion, ["last_close"], **{"reps": 799} | given)


def find(verdict: GateVerdict, name: str) -> ChallengerVerdict:
    return next(one for one in verdict.challengers if one.name == name)


def list_better(comparisons: tuple[Comparison, ...]) -> dict[str, bool]:
    return {one.other: one.is_better for one in comparisons}


def count_promoted(pairs: int, *, skill: float, dependence: float) -> int:
    """Judge simulated pairs, all on the same resamples."""
    promoted = 0
    for seed in range(SEEDS_OF_PAIRS, SEEDS_OF_PAIRS + pairs):
        rng, skills = np.random.default_rng(seed), {"champion": 1.0, "last_close": 1.1, "challenger": skill}
        promoted += is_promoted(simulate_losses(rng, skills, n_symbols=50, dependence=dependence), seed=1)
    return promoted


def test_of_200_pairs_of_equal_skill_at_most_5_in_100_are_promoted() -> None:
    assert count_promoted(200, skill=1.0, dependence=0.3) <= 10


def test_a_challenger_2_percent_better_is_found_in_most_samples_of_60_sessions() -> None:
    assert count_promoted(60, skill=0.98, dependence=0.0) > 30


def test_better_than_both_is_promoted_and_every_number_is_told() -> None:
    losses = make_losses(bigru=0.9)
    verdict = judge(losses, seed=5)
    assert (verdict.promoted, verdict.serves, verdict.champion, verdict.best_naive) == (
        "bigru",
        "bigru",
        "champion",
        "last_close",
    )
    found = find(verdict, "bigru")
    assert found.loss == pytest.approx(losses["bigru"].mean())
    against = found.comparisons[0]
    assert (against.model, against.other) == ("bigru", "champion")
    assert against.mean_difference == pytest.approx(losses["champion"].mean() - losses["bigru"].mean())
    assert against.gain == pytest.approx(1 - losses["bigru"].mean() / losses["champion"].mean())
    assert 0 < against.lower < against.mean_difference < against.upper
    assert against.p_value == pytest.approx(1 / 800)
    assert (verdict.alpha, verdict.reps, verdict.seed, verdict.n_sessions, verdict.n_cells) == (ALPHA, 799, 5, 60, 1800)
    assert verdict.block == 4


def test_better_than_last_close_alone_is_not_enough() -> None:
    verdict = judge(make_losses(ridge=1.0))
    assert list_better(find(verdict, "ridge").comparisons) == {"champion": False, "last_close": True}
    assert (verdict.promoted, verdict.serves) == (None, "champion")


def test_better_than_the_champion_alone_is_not_enough_and_a_naive_model_that_beats_it_serves() -> None:
    losses = make_losses(ridge=0.9, last_close=0.9)
    verdict = judge(losses)
    assert list_better(find(verdict, "ridge").comparisons) == {"champion": True, "last_close": False}
    assert (verdict.promoted, verdict.serves) == (None, "last_close")
    assert verdict.naive_comparisons[0].is_better


def test_every_naive_model_must_be_beaten_and_the_best_is_named() -> None:
    losses = make_losses(drift=0.9, ridge=0.91)
    verdict = judge_challengers(losses, "champion", ["last_close", "drift"], reps=799)
    assert list_better(find(verdict, "ridge").comparisons) == {"champion": True, "last_close": True, "drift": False}
    assert (verdict.best_naive, verdict.serves) == ("drift", "drift")


def test_without_a_champion_the_naive_model_serves_until_it_is_beaten() -> None:
    losses = make_losses(ridge=0.9)
    del losses["champion"]
    assert judge(losses, None).serves == "ridge"
    losses["ridge"] = losses["last_close"] * 1.0001
    assert judge(losses, None).serves == "last_close"


def test_a_naive_champion_is_compared_with_once() -> None:
    verdict = judge(make_losses(ridge=0.9), "last_close")
    assert list_better(find(verdict, "ridge").comparisons) == {"last_close": True}
    assert verdict.naive_comparisons == ()
    assert [one.name for one in verdict.challengers] == ["champion", "ridge"]


def test_of_several_that_pass_the_lowest_loss_is_promoted() -> None:
    verdict = judge(make_losses(ridge=0.93, bigru=0.88, dense=0.9))
    assert all(one.passes for one in verdict.challengers)
    assert verdict.promoted == "bigru"


def test_the_number_of_challengers_counts() -> None:
    rng, losses = np.random.default_rng(8), make_losses()

    def vary(skill: float) -> np.ndarray:
        return losses["champion"] * (skill + SPREAD_US * rng.standard_normal((SHAPE[0], 1)))

    losses["ridge"] = vary(0.996)
    alone = find(judge(losses), "ridge").comparisons[0]
    losses |= {f"equal_{k}": vary(1.0) for k in range(12)}
    beside = find(judge(losses), "ridge").comparisons[0]
    assert beside.mean_difference == alone.mean_difference
    assert 0 < alone.p_value < 0.1
    assert beside.p_value > 1.5 * alone.p_value


def test_a_gain_of_no_use_is_not_promoted_however_sure() -> None:
    losses = make_losses()
    losses["ridge"] = losses["champion"] * 0.9995
    against = find(judge(losses), "ridge").comparisons[0]
    assert against.p_value < ALPHA
    assert not against.is_better
    assert judge(losses, limits=GateLimits(smallest_gain=0.0)).promoted == "ridge"


def test_a_copy_of_the_champion_is_not_promoted() -> None:
    losses = make_losses()
    losses["ridge"] = losses["champion"].copy()
    verdict = judge(losses, limits=GateLimits(smallest_gain=0.0))
    assert find(verdict, "ridge").comparisons[0].p_value == 1.0
    assert verdict.promoted is None


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_a_challenger_that_says_nothing_in_one_cell_fails_and_the_others_are_judged(nothing: float) -> None:
    losses = make_losses(ridge=0.9, bigru=0.8)
    losses["bigru"][7, 3] = nothing
    verdict = judge(losses)
    found = find(verdict, "bigru")
    assert [(check.name, check.value, check.at_most, check.holds) for check in found.checks] == [
        ("missing_losses", 1.0, 0, False)
    ]
    assert (found.loss, found.comparisons, found.passes) == (None, (), False)
    assert verdict.promoted == "ridge"


def test_only_cells_with_losses_of_all_that_must_be_beaten_count() -> None:
    losses = make_losses(ridge=0.9)
    expected = judge(losses).to_dict()
    losses = {name: np.vstack([values, values[:5]]) for name, values in losses.items()}
    losses["champion"][-5:] = np.nan
    losses["ridge"][-5:] = 1e6
    assert judge(losses).to_dict() == expected
    losses["last_close"][0, 1:] = np.nan
    assert judge(losses).n_cells == expected["n_cells"] - SHAPE[1] + 1


def test_sessions_weigh_the_same_whatever_their_symbols() -> None:
    losses = {name: np.full((20, 10), value) for name, value in {"last_close": 1.0, "ridge": 0.5}.items()}
    losses["last_close"][0] = [3.0, *[np.nan] * 9]
    assert judge(losses, None).losses == {"last_close": pytest.approx((3.0 + 19 * 1.0) / 20)}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"coverage": {80: 0.74}}, "coverage_80"),
        ({"coverage": {80: 0.8, 95: 1.01}}, "coverage_95"),
        ({"latency_s": 1.1}, "latency_s"),
        ({"latency_s": float("nan")}, "latency_s"),
        ({"size_bytes": 200_000_001}, "size_bytes"),
        ({"rerun_difference": 2e-6}, "rerun_difference"),
    ],
)
def test_each_guard_alone_holds_a_better_challenger_back(facts: dict[str, object], name: str) -> None:
    losses = make_losses(ridge=0.9)
    assert judge(losses, facts={"ridge": SOUND}).promoted == "ridge"
    verdict = judge(losses, facts={"ridge": ModelFacts(**facts)})
    assert [check.name for check in find(verdict, "ridge").checks if not check.holds] == [name]
    assert (verdict.promoted, verdict.serves) == (None, "champion")


def test_worse_where_it_is_volatile_holds_a_better_challenger_back() -> None:
    losses = make_losses(ridge=0.8)
    volatility = np.random.default_rng(1).random(SHAPE)
    wild = volatility > np.quantile(volatility, 0.9)
    verdict = judge(losses, volatility=volatility)
    assert verdict.promoted == "ridge"
    losses["ridge"][wild] = losses["champion"][wild] * 1.03
    verdict = judge(losses, volatility=volatility)
    failed = [check for check in find(verdict, "ridge").checks if not check.holds]
    assert [(check.name, check.at_most) for check in failed] == [("worst_decile", 0.02)]
    assert failed[0].value == pytest.approx(0.03)
    assert verdict.promoted is None
    assert judge(losses, volatility=volatility, limits=GateLimits(worst_decile=0.04)).promoted == "ridge"


def test_what_was_not_measured_is_said() -> None:
    assert find(judge(make_losses(ridge=0.9)), "ridge").unchecked == (
        "worst_decile",
        "coverage",
        "latency_s",
        "size_bytes",
        "rerun_difference",
    )
    given = judge(make_losses(ridge=0.9), volatility=np.ones(SHAPE), facts={"ridge": SOUND})
    assert find(given, "ridge").unchecked == ()


def test_the_verdict_is_the_same_again_and_goes_into_json() -> None:
    losses = make_losses(ridge=0.9, bigru=1.0)
    losses["bigru"][0, 0] = np.nan
    given = {"volatility": np.full(SHAPE, np.nan), "facts": {"ridge": SOUND}}
    said = json.dumps(judge(losses, **given).to_dict(), allow_nan=False)
    assert said == json.dumps(judge(losses, **given).to_dict(), allow_nan=False)
    read = json.loads(said)
    assert read["limits"]["worst_decile"] == 0.02
    assert {check["name"] for check in read["challengers"][0]["checks"]} >= {"missing_losses", "coverage_80"}
    assert [check["value"] for check in read["challengers"][0]["checks"] if check["name"] == "worst_decile"] == [None]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda losses: losses.pop("last_close"), "every naive model must have losses. Received: last_close"),
        (lambda losses: losses.update(ridge=np.ones((60, 29))), r"Received: (60, 29) (in ridge)"),
        (lambda losses: losses.update(champion=np.full(SHAPE, np.nan)), "at least one cell must have losses"),
        (lambda losses: losses["champion"].__setitem__(slice(19, None), np.nan), "at least 20 sessions. Received: 19"),
    ],
)
def test_what_cannot_be_compared_is_refused(spoil: object, said: str) -> None:
    losses = make_losses(ridge=0.9)
    spoil(losses)  # type: ignore[operator]
    with pytest.raises(InputError) as refused:
        judge(losses)
    assert said in str(refused.value)


def test_without_a_naive_model_there_is_no_gate() -> None:
    with pytest.raises(InputError, match="at least one naive model"):
        judge_challengers(make_losses(), "champion", [])
