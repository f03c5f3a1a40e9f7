"""The notebook that we are measured against makes its features as they are defined."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.score_notebook import build_features, build_window

BARS = pd.DataFrame(
    {
        "open": [1.0, 2.0, 4.0],
        "high": [3.0, 2.0, 6.0],
        "low": [1.0, 2.0, 2.0],
        "close": [2.0, 2.0, 5.0],
        "market_cap": [20.0, 21.0, 60.0],
    }
)


def test_thirteen_features_by_hand() -> None:
    found = build_features(BARS)
    assert found.shape == (3, 13)
    assert found["close_ratio"].tolist() == [0.5, 0.0, 0.75]
    assert found["spread"].tolist() == [2.0, 0.0, 4.0]
    assert found["v_open"].tolist() == [0.0, 1.0, 2.0]
    assert found["v_close_ratio"].tolist() == [0.0, -0.5, 0.75]
    np.testing.assert_allclose(found["log_shares"], np.log([10, 11, 12]))


def test_a_window_is_standardised_but_for_its_shares() -> None:
    bars = pd.concat([BARS] * 3, ignore_index=True)
    window, scaler = build_window(bars)
    assert window.shape == (1, 5, 13)
    np.testing.assert_allclose(window[0, -1, -1], np.log(12), rtol=1e-6)
    changes = build_features(bars)["v_open"]
    assert scaler.mean_[0] == changes.mean()
    np.testing.assert_allclose(window[0, -1, 6], (2.0 - changes.mean()) / changes.std(ddof=0), rtol=1e-6)
