"""Rolling windows beside windows of a dense cube."""

from __future__ import annotations

import numpy as np
import pytest

from include.answers import windows
from include.answers.windows import RollingWindows
from include.backtest.windows import build_windows
from include.errors import InputError
from models.market import MARKET_COLUMNS, join_market


def test_windows_are_those_of_a_dense_cube() -> None:
    rng = np.random.default_rng(3)
    cube = rng.uniform(1, 2, (30, 7, 6)).astype(np.float32)
    cube[rng.random((30, 7)) < 0.4] = np.nan
    rolling = RollingWindows(7, 5, "u.csv")
    for origin in range(30):
        codes = np.flatnonzero(~np.isnan(cube[origin, :, 0])).astype(np.int32)
        observed = rolling.advance(codes, cube[origin, codes])
        wanted = build_windows(cube, lookback=5, origins=[origin], min_observed=3, with_targets=False)
        enough = codes[observed >= 3]
        assert enough.tolist() == wanted.symbol_index.tolist()
        np.testing.assert_array_equal(rolling.gather(enough), wanted.windows)


def test_windows_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MEMORY_BYTES", 1000)
    with pytest.raises(InputError, match=r"fit into 0 MiB of windows. Received: 9 symbols, 5 sessions \(in u.csv\)"):
        RollingWindows(9, 5, "u.csv")


def test_market_wide_columns_are_those_of_the_whole_upload() -> None:
    rng = np.random.default_rng(4)
    bars = rng.lognormal(size=(9, 6, 6)).astype(np.float32)
    bars[rng.random((9, 6)) < 0.2] = np.nan
    rolling = RollingWindows(6, 3, "u.csv", market=MARKET_COLUMNS)
    for session in bars:
        codes = np.flatnonzero(np.isfinite(session[:, 0])).astype(np.int32)
        rolling.advance(codes, session[codes])
    found = rolling.gather(np.arange(6, dtype=np.int32))
    np.testing.assert_allclose(found, join_market(bars, MARKET_COLUMNS)[-3:].swapaxes(0, 1), rtol=1e-6)
