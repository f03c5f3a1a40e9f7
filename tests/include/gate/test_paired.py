from __future__ import annotations

import numpy as np
import pytest

from include.errors import InputError
from include.gate.paired import choose_block, compare_pairs

TEST = {"alpha": 0.05, "reps": 999, "block": 4, "seed": 1}


def make_differences(means: list[float], *, n: int = 60, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((n, len(means)))
    return noise - noise.mean(axis=0) + means


def persist(dependence: float, *, n: int, seed: int) -> np.ndarray:
    shocks = np.random.default_rng(seed).standard_normal(n)
    for t in range(1, n):
        shocks[t] += dependence * shocks[t - 1]
    return shocks


def test_what_is_clearly_above_zero_is_found_and_nothing_else() -> None:
    found = compare_pairs(make_differences([1.0, 0.0, -1.0]), **TEST)
    assert found.means == pytest.approx([1.0, 0.0, -1.0])
    assert found.p_values[0] < 0.01
    assert found.p_values[1] > 0.3
    assert found.p_values[2] > 0.9
    assert (found.lower < found.means).all()
    assert (found.means < found.upper).all()
    assert found.lower[0] > 0 > found.upper[2]


def test_an_interval_of_nine_in_ten_misses_about_one_in_ten() -> None:
    differences = np.random.default_rng(5).standard_normal((60, 400))
    found = compare_pairs(differences, **TEST)
    assert 0.06 < np.mean((found.lower > 0) | (found.upper < 0)) < 0.16
    # Known variance would give 1.64; the error from seven sums has about six degrees of freedom, 1.94.
    assert 1.64 < np.mean(found.upper - found.lower) / 2 * np.sqrt(60) < 2.2


def test_a_persistent_series_has_a_wider_interval() -> None:
    loose, tied = persist(0.0, n=120, seed=2), persist(0.7, n=120, seed=2)
    differences = np.stack([loose / loose.std(), tied / tied.std()], axis=1)
    found = compare_pairs(differences, **TEST | {"block": 8})
    width = found.upper - found.lower
    assert width[1] > 1.5 * width[0]


def test_more_pairs_make_a_larger_p_value() -> None:
    alone = compare_pairs(make_differences([0.3]), **TEST).p_values[0]
    differences = np.hstack([make_differences([0.3]), make_differences([0.0] * 20, seed=3)])
    assert compare_pairs(differences, **TEST).p_values[0] > 3 * alone


def test_a_pair_that_is_hopeless_or_already_found_costs_the_others_nothing() -> None:
    alone = compare_pairs(make_differences([0.35]), **TEST).p_values[0]
    others = make_differences([-3.0] * 10 + [3.0] * 10, seed=3)
    beside = compare_pairs(np.hstack([make_differences([0.35]), others]), **TEST).p_values
    assert beside[0] == pytest.approx(alone)
    assert (beside[1:11] > 0.9).all()
    assert (beside[11:] < 0.01).all()


def test_copies_of_a_pair_count_once() -> None:
    alone = compare_pairs(make_differences([0.3]), **TEST).p_values[0]
    found = compare_pairs(np.repeat(make_differences([0.3]), 5, axis=1), **TEST)
    assert found.p_values == pytest.approx(alone)


def test_p_values_are_worked_again_one_resample_at_a_time() -> None:
    """The rules written once more as loops: cosines, ratios, step-down."""
    from arch.bootstrap import StationaryBootstrap

    n, reps, block, seed = 24, 99, 3, 11  # 24^(2/3) is 8.3: eight sums
    differences = make_differences([0.5, 0.4, 0.1, -2.0], n=n, seed=9)

    def error(values: np.ndarray) -> float:
        weights = [np.sqrt(2 / n) * np.cos(np.pi * j * (np.arange(n) + 0.5) / n) for j in range(1, 9)]
        return float(np.sqrt(np.mean([(weight @ values) ** 2 for weight in weights]) / n))

    means = differences.mean(axis=0)
    ratios = [means[k] / error(differences[:, k]) for k in range(4)]
    assert ratios[3] < -np.sqrt(2 * np.log(np.log(n)))
    draws = []
    for positional, _ in StationaryBootstrap(block, np.arange(n), seed=seed).bootstrap(reps):
        sample = differences[positional[0]]
        centre = [*means[:3], 0.0]
        draws.append([(sample[:, k].mean() - centre[k]) / error(sample[:, k]) for k in range(4)])
    left, expected, last = sorted(range(4), key=lambda k: -ratios[k]), [0.0] * 4, 0.0
    while left:
        exceeded = sum(max(draw[k] for k in left) >= ratios[left[0]] for draw in draws)
        last = max(last, (1 + exceeded) / (reps + 1))
        expected[left.pop(0)] = last
    found = compare_pairs(differences, alpha=0.05, reps=reps, block=block, seed=seed)
    assert found.p_values[:3] == pytest.approx(expected[:3])
    assert found.p_values[3] > max(expected[3], 0.9)


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    differences = make_differences([0.2, 0.1])
    once, again = compare_pairs(differences, **TEST), compare_pairs(differences, **TEST)
    other = compare_pairs(differences, **TEST | {"seed": 2})
    assert once.p_values.tolist() == again.p_values.tolist()
    assert once.lower.tolist() == again.lower.tolist()
    assert once.lower.tolist() != other.lower.tolist()


def test_equal_models_are_not_better_and_a_constant_gain_is() -> None:
    found = compare_pairs(np.tile([0.0, 0.5], (30, 1)), **TEST | {"block": None})
    assert found.p_values.tolist() == [1.0, 0.001]
    assert found.lower.tolist() == found.means.tolist() == found.upper.tolist() == [0.0, 0.5]


@pytest.mark.parametrize(("n", "block"), [(20, 3), (27, 3), (28, 4), (60, 4), (64, 4), (250, 7)])
def test_blocks_grow_with_the_cube_root(n: int, block: int) -> None:
    assert choose_block(n) == block
    assert compare_pairs(make_differences([0.0], n=n), **TEST | {"block": None}).block == block


@pytest.mark.parametrize(
    ("wrong", "n", "said"),
    [
        ({}, 19, "at least 20 sessions. Received: 19"),
        ({"alpha": 0.0}, 20, "alpha must be above 0 and below 0.5. Received: 0.0"),
        ({"reps": 98}, 20, "reps must be at least 99 at alpha 0.05. Received: 98"),
        ({"block": 11}, 20, "block must be 1..10 sessions. Received: 11"),
    ],
)
def test_what_cannot_be_answered_is_refused(wrong: dict[str, float], n: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare_pairs(make_differences([0.0], n=n), **TEST | wrong)
