from __future__ import annotations

import numpy as np
import pytest

from models.closed_form.panel import build_panel


def test_what_is_no_price_is_a_hole(prices: np.ndarray) -> None:
    panel = build_panel(prices[6:7], [29], 30)
    np.testing.assert_array_equal(panel.known[0, [3, 9, 15]], False)
    assert np.isfinite(panel.values).all()
    assert np.isfinite(panel.prices).all()


def test_float32_prices_are_taken_as_float64(prices: np.ndarray) -> None:
    panel = build_panel(prices.astype(np.float32), [29], 30)
    assert panel.values.dtype == panel.prices.dtype == np.float64


@pytest.mark.parametrize(
    ("origins", "lookback", "message"),
    [
        ([3], 0, "lookback must be 1 or more. Received: 0"),
        ([3, 30], 5, r"origins must be 0..29, positions of sessions. Received: \[30\]"),
        ([-1], 5, r"origins must be 0..29, positions of sessions. Received: \[-1\]"),
    ],
)
def test_windows_outside_the_panel_are_refused(
    prices: np.ndarray, origins: list[int], lookback: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_panel(prices, origins, lookback)
