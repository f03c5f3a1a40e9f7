"""What is left out is replaced by a window that could have been, and the shares add up."""

from __future__ import annotations

import numpy as np
import pytest

from include.audit.choose import choose_run
from include.audit.why import explain_why, list_groups, mix_windows, share_window
from include.errors import InputError
from include.lake.predictions import read_forecasts
from include.schema import WINDOW_COLUMNS
from tests.include.audit.conftest import LAST, SYMBOL, Scored

OPEN, HIGH, LOW, CLOSE, VOLUME, CAP = (
    WINDOW_COLUMNS.index(name) for name in ("open", "high", "low", "close", "volume", "market_cap")
)


def make_window(lookback: int = 8) -> np.ndarray:
    close = 100 + np.arange(lookback, dtype=np.float32)
    window = np.empty((lookback, len(WINDOW_COLUMNS)), dtype=np.float32)
    for column, values in ((OPEN, close - 1), (HIGH, close + 2), (LOW, close - 3), (CLOSE, close)):
        window[:, column] = values
    window[:, VOLUME], window[:, CAP] = np.arange(lookback) + 10, 1000 + np.arange(lookback)
    return window


def test_the_groups_part_the_window() -> None:
    for lookback in (2, 5, 8, 30):
        groups = list_groups(lookback)
        assert len(groups) <= 10
        for part in {group.part for group in groups}:
            covered = np.sum([group.rows for group in groups if group.part == part], axis=0)
            # The newest close is what a forecast is told against, so it is in no group.
            assert covered.tolist() == [1] * (lookback - 1) + [0 if part == "close" else 1]


def test_every_mix_is_a_window_that_could_have_been() -> None:
    window = make_window()
    window[3] = np.nan
    mixed = mix_windows(window, list_groups(8))
    assert mixed.shape == (2**9, 8, 6)
    there = ~np.isnan(mixed[:, :, OPEN])
    assert (np.isnan(mixed[~there])).all()
    high, low = mixed[:, :, HIGH][there], mixed[:, :, LOW][there]
    for column in (OPEN, CLOSE):
        assert (mixed[:, :, column][there] <= high).all()
        assert (mixed[:, :, column][there] >= low).all()
    np.testing.assert_array_equal(mixed[-1], window)
    assert (mixed[0][:, [OPEN, HIGH, LOW, CLOSE]] == 107).all()
    assert set(mixed[0][:, VOLUME]) == {14.0}  # the median of 10, 11, 12, 14, 15, 16, 17
    assert set(mixed[0][:, CAP]) == {1007.0}


def test_each_share_is_its_own_group_where_nothing_interacts() -> None:
    def forecast(windows: np.ndarray) -> np.ndarray:
        newest, older = windows[:, -1].astype(np.float64), windows[:, -2].astype(np.float64)
        return np.stack([np.log(newest[:, CLOSE] / older[:, CLOSE]), np.log(newest[:, VOLUME])], axis=1)

    groups, shares, worth = share_window(make_window(), forecast)
    names = [group.name for group in groups]
    expected = np.zeros((len(names), 2))
    expected[names.index("close, 1 session ago"), 0] = np.log(107 / 106)
    expected[names.index("volume, newest"), 1] = np.log(17 / 13.5)
    np.testing.assert_allclose(shares, expected, atol=1e-7)
    assert worth[0] == pytest.approx([0.0, np.log(13.5)], abs=1e-7)


def test_a_window_without_its_newest_session_is_refused() -> None:
    window = make_window()
    window[-1] = np.nan
    with pytest.raises(InputError, match="the newest session of a window must be there"):
        share_window(window, lambda windows: np.zeros((len(windows), 2)))


def test_the_shares_lead_from_the_flat_window_to_the_recorded_forecast(scored: Scored) -> None:
    run = choose_run(scored.settings, as_of=LAST)
    found = explain_why(scored.settings, run, SYMBOL)
    assert found.shares.shape == (len(found.groups), 1, 2)
    np.testing.assert_allclose(found.baseline + found.shares.sum(axis=0), found.forecast, atol=1e-9)
    assert np.abs(found.shares).max() > 1e-6
    rows = {(row["symbol"], row["target"]): row for row in read_forecasts(scored.settings.lake, run).to_pylist()}
    for at, target in enumerate(("open", "close")):
        row = rows[SYMBOL, target]
        assert np.log(row["predicted"] / row["last_close"]) == pytest.approx(found.forecast[0, at], abs=1e-6)


def test_a_target_that_the_model_leaves_out_has_no_shares() -> None:
    def forecast(windows: np.ndarray) -> np.ndarray:
        moved = np.log(windows[:, -1, CLOSE] / windows[:, -2, CLOSE])
        return np.stack([moved, np.full(len(windows), np.nan)], axis=1).astype(np.float64)

    _, shares, _ = share_window(make_window(), forecast)
    assert np.isnan(shares[:, 1]).all()
    assert shares[:, 0].sum() == pytest.approx(np.log(107 / 106), abs=1e-6)


def test_market_wide_columns_are_a_group_of_their_own() -> None:
    beside = np.arange(16, dtype=np.float32).reshape(8, 2) / 10
    window = np.concatenate([make_window(), beside], axis=1)

    def forecast(windows: np.ndarray) -> np.ndarray:
        return windows[:, :, 6:].astype(np.float64).sum(axis=(1, 2))[:, None]

    groups, shares, worth = share_window(window, forecast)
    assert len(groups) == 10
    assert groups[-1].name == "market-wide columns, all"
    assert shares.ravel() == pytest.approx([0.0] * 9 + [beside.sum()], abs=1e-5)
    assert worth[0] == 0.0
