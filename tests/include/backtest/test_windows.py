from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backtest.windows import Windows, build_windows, sample_windows
from include.errors import InputError


def make_cube(present: np.ndarray) -> np.ndarray:
    """(n_sessions, n_symbols, 6) of distinct numbers, NaN where not present."""
    cube = np.arange(1.0, present.size * 6 + 1).reshape(*present.shape, 6).astype(np.float32)
    cube[~present] = np.nan
    return cube


def list_expected(present: np.ndarray, lookback: int, min_observed: int, with_targets: bool) -> list[tuple[int, int]]:
    """The rule once more, a window at a time."""
    n_sessions, n_symbols = present.shape
    return [
        (origin, symbol)
        for origin in range(n_sessions)
        for symbol in range(n_symbols)
        if present[origin, symbol]
        and present[max(origin - lookback + 1, 0) : origin + 1, symbol].sum() >= min_observed
        and (not with_targets or (origin + 1 < n_sessions and present[origin + 1, symbol]))
    ]


def list_pairs(windows: Windows) -> list[tuple[int, int]]:
    return list(zip(windows.origin_index.tolist(), windows.symbol_index.tolist(), strict=True))


def test_no_bars_make_no_windows() -> None:
    cube = make_cube(np.zeros((3, 1), dtype=bool))
    windows = build_windows(cube, lookback=2, origins=range(3), min_observed=1)
    assert windows.windows.shape == (0, 2, 6)
    assert windows.targets is not None
    assert windows.targets.shape == (0, 2)


def test_a_window_ends_at_its_origin_and_its_targets_lie_in_the_next_session() -> None:
    cube = make_cube(np.ones((4, 2), dtype=bool))
    windows = build_windows(cube, lookback=2, origins=[1, 2], min_observed=2)
    assert list_pairs(windows) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert np.array_equal(windows.windows[3], cube[1:3, 1])
    expected = np.log(cube[3, 1, [0, 3]] / cube[2, 1, 3])
    assert windows.targets is not None
    assert windows.targets[3] == pytest.approx(expected, rel=1e-6)


def test_sessions_before_the_first_count_as_absent() -> None:
    cube = make_cube(np.ones((3, 1), dtype=bool))
    windows = build_windows(cube, lookback=3, origins=[0], min_observed=1)
    assert np.isnan(windows.windows[0, :2]).all()
    assert np.array_equal(windows.windows[0, 2], cube[0, 0])
    assert len(build_windows(cube, lookback=3, origins=[0], min_observed=2)) == 0


def test_the_newest_session_can_be_scored_but_has_no_targets() -> None:
    cube = make_cube(np.ones((3, 2), dtype=bool))
    scored = build_windows(cube, lookback=2, origins=[2], min_observed=2, with_targets=False)
    assert scored.targets is None
    assert list_pairs(scored) == [(2, 0), (2, 1)]
    assert len(build_windows(cube, lookback=2, origins=[2], min_observed=2)) == 0


def test_a_score_does_not_see_what_came_after_its_origin() -> None:
    generator = np.random.default_rng(0)
    cube = make_cube(generator.random((12, 200)) < 0.9)
    whole = build_windows(cube, lookback=4, origins=[8], min_observed=3, with_targets=False)
    ended = build_windows(cube[:9], lookback=4, origins=[8], min_observed=3, with_targets=False)
    assert np.array_equal(whole.windows, ended.windows, equal_nan=True)
    assert np.array_equal(whole.symbol_index, ended.symbol_index)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 4)),
    seed=st.integers(0, 1000),
    lookback=st.integers(1, 5),
    data=st.data(),
    with_targets=st.booleans(),
)
def test_usable_windows_are_those_of_the_rule(
    shape: tuple[int, int], seed: int, lookback: int, data: st.DataObject, with_targets: bool
) -> None:
    min_observed = data.draw(st.integers(1, lookback))
    present = np.random.default_rng(seed).random(shape) < 0.7
    windows = build_windows(
        make_cube(present),
        lookback=lookback,
        origins=range(shape[0]),
        min_observed=min_observed,
        with_targets=with_targets,
    )
    assert list_pairs(windows) == list_expected(present, lookback, min_observed, with_targets)


def test_a_sample_is_some_of_all_windows_in_time_order_and_repeats_itself() -> None:
    cube = make_cube(np.random.default_rng(0).random((30, 20)) < 0.9)
    chosen = {"lookback": 4, "origins": range(3, 30), "min_observed": 3}
    every = build_windows(cube, **chosen)
    sample, again = (sample_windows(cube, **chosen, limit=50, seed=7) for _ in range(2))
    positions = [list_pairs(every).index(pair) for pair in list_pairs(sample)]
    assert len(set(positions)) == 50
    assert positions == sorted(positions)
    assert np.array_equal(sample.windows, every.windows[positions], equal_nan=True)
    assert np.array_equal(sample.targets, every.targets[positions])
    assert list_pairs(again) == list_pairs(sample)
    assert list_pairs(sample_windows(cube, **chosen, limit=50, seed=8)) != list_pairs(sample)
    assert list_pairs(sample_windows(cube, **chosen, limit=10_000, seed=7)) == list_pairs(every)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_observed": 3}, r"min_observed must be 1..lookback, which is 2. Received: 3"),
        ({"min_observed": 0}, r"min_observed must be 1..lookback, which is 2. Received: 0"),
        ({"origins": [1, 3]}, r"origins must be sessions 0..2. Received: 1..3"),
        ({"origins": [-1]}, r"origins must be sessions 0..2. Received: -1..-1"),
        ({"origins": [2, 1]}, r"origins must increase. Received: \[2, 1\]"),
    ],
)
def test_arguments_out_of_range_are_refused(changed: dict[str, object], message: str) -> None:
    arguments = {"lookback": 2, "origins": [1], "min_observed": 1, **changed}
    with pytest.raises(InputError, match=message):
        build_windows(make_cube(np.ones((3, 1), dtype=bool)), **arguments)
