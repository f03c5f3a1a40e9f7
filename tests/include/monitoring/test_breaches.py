"""Episodes: they begin once, keep their limit, end once, and a calm exchange has none."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.watch import Scene, find_fault, walk_watch
from include.backtest.cohorts import measure_volatility
from include.backtest.heldout import hold_out
from include.backtest.intervals import walk_intervals
from include.lake.bars import BarCube
from include.market.exchange import simulate_exchange
from include.monitoring.breaches import FEWEST_SESSIONS, JUDGED_SESSIONS, Breach, find_limit, judge_signals
from include.schema import TARGETS, WINDOW_COLUMNS
from tests.include.monitoring.scenes import build_signals, day

Floats = npt.NDArray[np.float64]


def calm(count: int) -> Floats:
    """Between 0.9 and 1; the second largest is 0.99 from the start on."""
    values = 0.9 + 0.08 * np.random.default_rng(1).random(count)
    values[1:3] = 0.99, 1.0
    return values


def walk(values: Floats, first: int, *, versions: npt.NDArray[np.int64] | None = None) -> list[Breach]:
    breaches: list[Breach] = []
    for end in range(first, len(values) + 1):
        signals = build_signals(values[:end])
        if versions is not None:
            signals = replace(signals, versions=versions[:end])
        breaches = judge_signals(signals, breaches).breaches
    return breaches


def test_a_breach_begins_at_the_third_session_and_ends_when_one_of_five_is_left() -> None:
    values = np.concatenate([calm(40), [1.3, 0.95, 1.3, 1.3], calm(40)[5:25]])
    (breach,) = walk(values, 30)
    assert (breach.since, breach.began, breach.ended) == (day(40), day(43), day(47))
    assert breach.value == 1.3
    assert breach.why_ended == "back below its limit"


def test_two_bad_sessions_are_none() -> None:
    assert walk(np.concatenate([calm(40), [1.3, 1.3], calm(40)[5:25]]), 30) == []


def test_what_is_wrong_for_long_does_not_become_usual() -> None:
    (breach,) = walk(np.concatenate([calm(40), np.full(60, 1.3)]), 30)
    assert breach.ended is None


def test_sessions_of_an_earlier_episode_give_no_limit() -> None:
    values = np.concatenate([calm(40), np.full(10, 1.3), calm(40)[5:25], np.full(5, 1.2)])
    first, second = walk(values, 30)
    assert second.limit == pytest.approx(first.limit, abs=0.02)
    assert second.began == day(72)


def test_another_version_ends_an_episode_and_is_not_judged_by_its_forerunners_sessions() -> None:
    values = np.concatenate([calm(40), np.full(10, 1.3), calm(40)[5:15]])
    versions = np.where(np.arange(len(values)) < 48, 1, 2)
    (breach,) = walk(values[:50], 30, versions=versions[:50])
    assert (breach.ended, breach.why_ended) == (day(48), "version 2 serves")
    again = walk(np.where(np.arange(60) >= 50, 1.3, values), 30, versions=versions)
    assert [each.model_version for each in again] == [1, 2]


def test_limits_are_a_margin_beyond_the_second_largest_or_a_floor() -> None:
    sessions = [day(number) for number in range(40)]
    values = np.full(40, 1.0)
    values[:3] = 1.5, 1.1, 1.08
    assert find_limit("skill_open", sessions, values, []) == pytest.approx(1 + 1.25 * 0.1)
    assert find_limit("skill_open", sessions, np.full(40, 1.0), []) == pytest.approx(1.02)
    assert find_limit("coverage_80_open", sessions, np.full(40, -0.1), []) == pytest.approx(0.1)
    assert find_limit("inputs", sessions, np.full(40, np.nan), []) == 1.0


def test_too_few_sessions_give_no_limit() -> None:
    few = FEWEST_SESSIONS + JUDGED_SESSIONS - 1
    verdicts = judge_signals(build_signals(np.full(few, 1.0)), []).verdicts
    assert [(each.limit, each.in_breach) for each in verdicts] == [(None, False)]


def test_a_session_without_a_value_is_not_beyond() -> None:
    values = np.concatenate([calm(40), [1.3, 1.3, np.nan, np.nan]])
    assert walk(values, 30) == []


def simulate(seed: int) -> Scene:
    """Forecasts of a simulated exchange by what its generator itself expects: 60 sessions to judge and 60 before."""
    exchange = simulate_exchange(symbols=150, sessions=190, calendar="24/7", seed=seed, last_session=date(2024, 12, 31))
    values = np.stack([getattr(exchange, name) for name in WINDOW_COLUMNS], axis=-1).astype(np.float32)
    values[~exchange.published] = np.nan
    symbols = exchange.symbols.astype(object)
    cube = BarCube(values, list(exchange.sessions), symbols, np.zeros(0), np.zeros(0, dtype=np.int64), 1)
    held = hold_out(cube, 60)
    forecast = np.nan_to_num(exchange.conditional_mean[59:-1]).astype(np.float32)
    volatility = measure_volatility(values, held.origins)
    bounds = [
        walk_intervals(held.actual[..., at], forecast[..., at], volatility[..., at]) for at in range(len(TARGETS))
    ]
    lower, upper = (np.stack(side) for side in zip(*bounds, strict=True))
    return Scene(f"seed {seed}", held.sessions, held.actual, forecast, volatility, lower, upper)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(3)


def test_sixty_calm_sessions_have_no_episode(scene: Scene) -> None:
    assert list(walk_watch(scene, 70, 130)) == []


@pytest.mark.parametrize(
    ("fault", "within"), [("sign flipped", 4), ("intervals half as wide", 6), ("forecasts twice as large", 4)]
)
def test_a_planted_fault_is_found_within_so_many_sessions(scene: Scene, fault: str, within: int) -> None:
    found = find_fault(scene, 100, fault)
    assert found is not None
    assert found <= within
