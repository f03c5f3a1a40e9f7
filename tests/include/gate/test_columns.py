"""Columns that carry what is to come are refused by name, an honest market's own signal is not, however strong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from benchmarks.model_table import build_cube
from include.errors import LeakError
from include.gate.columns import check_columns
from include.gate.leaks import spoil_future
from include.lake.bars import BarCube
from include.market.exchange import simulate_exchange
from include.schema import WINDOW_COLUMNS
from include.settings import Settings

OPEN, HIGH, LOW, CLOSE, VOLUME, MARKET_CAP = range(len(WINDOW_COLUMNS))
CUT = 110
SETTINGS = Settings(_env_file=None)


def simulate(signal: float) -> BarCube:
    exchange = simulate_exchange(
        symbols=150, sessions=130, calendar="24/7", seed=3, last_session=date(2018, 6, 30), signal=signal
    )
    values = np.stack([getattr(exchange, column) for column in WINDOW_COLUMNS], axis=-1)
    return build_cube(values.astype(np.float32), exchange.sessions)


@pytest.fixture(scope="module")
def cube() -> BarCube:
    return simulate(1.0)


def change(cube: BarCube, column: int, values: np.ndarray) -> BarCube:
    """Put other values into a column, wherever one is known."""
    changed = cube.values.copy()
    changed[..., column] = np.where(np.isfinite(values), values, changed[..., column])
    return replace(cube, values=changed)


def bring_forward(values: np.ndarray) -> np.ndarray:
    """Give each session what the next one has."""
    return np.vstack([values[1:], np.full((1, values.shape[1]), np.nan)])


def mix_next_close(cube: BarCube, weight: float) -> BarCube:
    """Mix the next close into each, and what is reckoned by it likewise."""
    closes = cube.values[..., CLOSE]
    mixed = (1 - weight) * closes + weight * bring_forward(closes)
    return change(change(cube, CLOSE, mixed), MARKET_CAP, cube.values[..., MARKET_CAP] * mixed / closes)


def next_returns(cube: BarCube) -> np.ndarray:
    closes = cube.values[..., CLOSE].astype(np.float64)
    return np.log(bring_forward(closes) / closes)


def drown(returns: np.ndarray, share: float) -> np.ndarray:
    """Returns among noise, of which they are so much, in units of their deviation."""
    noise = np.random.default_rng(5).standard_normal(returns.shape)
    size = np.clip(returns / np.nanstd(returns), -3, 3)
    return share * size + np.sqrt(1 - share**2) * noise


def refuse(cube: BarCube, said: str, **given: float) -> None:
    with pytest.raises(LeakError, match=said):
        check_columns(SETTINGS.model_copy(update=given), cube, CUT)


@pytest.mark.parametrize("signal", [0.0, 1.0, 2.0])
def test_honest_columns_pass_and_the_nearest_is_named(signal: float) -> None:
    found = check_columns(SETTINGS, simulate(signal), CUT)
    assert list(found) == [
        "planted_column",
        "planted_column_where",
        "early_column",
        "early_column_where",
        "leaning_close",
    ]
    assert 0 < float(found["planted_column"]) < 0.65
    assert "with the next" in str(found["planted_column_where"])
    assert float(found["early_column"]) < 0.05
    assert float(found["leaning_close"]) < 0.05


def test_the_next_close_in_the_market_cap_is_refused_with_column_target_value_and_limit(cube: BarCube) -> None:
    leaky = change(cube, MARKET_CAP, bring_forward(cube.values[..., CLOSE]))
    refuse(
        leaky,
        r"leak test planted_column: .* above 0\.6 .*Received: (1|0\.9).*, market_cap / close with the next close",
    )


def test_the_limit_is_a_setting(cube: BarCube) -> None:
    found = float(check_columns(SETTINGS, cube, CUT)["planted_column"])
    refuse(cube, "planted_column", leak_correlation=found / 2)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_return_that_is_to_come_among_noise_is_refused(cube: BarCube, share: float) -> None:
    told = drown(next_returns(cube), share)
    usual = np.nanmedian(cube.values[..., VOLUME], axis=0)
    refuse(
        change(cube, VOLUME, usual * np.exp(0.7 * told)), r"early_column: .* above 0\.08.*volume / .* the next close"
    )
    caps = cube.values[..., MARKET_CAP] * np.exp(0.05 * told)
    refuse(change(cube, MARKET_CAP, caps), r"early_column: .*market_cap / close / its mean before with the next close")


def test_a_column_that_has_leaked_for_half_of_the_time_is_refused(cube: BarCube) -> None:
    told = drown(next_returns(cube), 0.6)
    told[: CUT // 2] = np.nan
    caps = cube.values[..., MARKET_CAP] * np.exp(0.05 * np.nan_to_num(told))
    refuse(change(cube, MARKET_CAP, caps), "early_column: .*market_cap / close")


@pytest.mark.parametrize("weight", [0.2, 0.4])
def test_a_close_into_which_the_next_one_was_mixed_is_refused(cube: BarCube, weight: float) -> None:
    refuse(mix_next_close(cube, weight), "leaning_close: .*close with the course of the next session|planted_column")
    refuse(mix_next_close(simulate(0.0), weight), "leaning_close: .*close with the course of the next session")


def test_an_open_that_is_the_next_one_is_refused(cube: BarCube) -> None:
    refuse(change(cube, OPEN, bring_forward(cube.values[..., OPEN])), "early_column: .*open / close with the next")


def test_an_open_that_knows_its_session_is_refused(cube: BarCube) -> None:
    opens, closes = cube.values[..., OPEN], cube.values[..., CLOSE]
    refuse(
        change(cube, OPEN, opens * (closes / opens) ** 0.5), "leading_open: .* above 0\\.3.*next open with the course"
    )


def test_what_lies_behind_the_cut_is_not_looked_at(cube: BarCube) -> None:
    assert check_columns(SETTINGS, spoil_future(cube, CUT, seed=1), CUT) == check_columns(SETTINGS, cube, CUT)


def test_few_sessions_are_no_leak() -> None:
    cube = simulate(0.0)
    for first in range(0, 100, 20):
        check_columns(SETTINGS, replace(cube, values=cube.values[first : first + 30, :20]), 30)
