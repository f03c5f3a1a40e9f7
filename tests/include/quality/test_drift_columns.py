"""A session's columns, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from include.errors import InputError
from include.quality.drift_columns import BACK_SESSIONS, COLUMNS, OWN_COLUMNS, SHARES, derive_columns

NAN = np.nan


def derive(today: list[list[float]], *before: list[list[float]]) -> tuple[dict[str, list[float]], dict[str, float]]:
    columns, shares = derive_columns(np.array(today, np.float32), np.array(before, np.float32))
    assert columns.dtype == shares.dtype == np.float32
    by_name = {name: column.tolist() for name, column in zip(COLUMNS, columns, strict=True)}
    return by_name, dict(zip(SHARES, shares.tolist(), strict=True))


def test_columns_of_one_symbol_by_hand() -> None:
    found, _ = derive([[11, 12, 10, 12, 300, 6000]], [[9, 11, 9, 10, 100, 5000]], [[9, 11, 9, 10, 200, 5000]])
    expected = {
        "close_return": np.log(12 / 10),
        "open_gap": np.log(11 / 10),
        "body": np.log(12 / 11),
        "range": np.log(12 / 10),
        "close_place": 1.0,
        "open_place": np.log(11 / 10) / np.log(12 / 10),
        "volume_change": np.log(300 / 200),
        "volume_level": np.log(300 / 150),
        "turnover": np.log(300 / 6000),
        "cap_change": np.log(6000 / 5000),
    }
    assert expected.keys() == set(COLUMNS) - set(OWN_COLUMNS)
    for name, value in expected.items():
        assert found[name] == pytest.approx([value], rel=1e-5), name


def test_own_columns_have_the_market_taken_out() -> None:
    yesterday = [[100, 100, 100, 100, 1, 1]] * 3
    calm = [[100, 110, 90, 101, 1, 1], [101, 110, 90, 103, 1, 1], [98, 110, 90, 99, 1, 1]]
    crash = [[row[0] / 2, row[1] / 2, row[2] / 2, row[3] / 2, 1, 1] for row in calm]
    found, moved = derive(calm, yesterday)[0], derive(crash, yesterday)[0]
    for name in OWN_COLUMNS:
        assert moved[name] == pytest.approx(found[name], abs=1e-4), name
    assert moved["close_return"] == pytest.approx(np.array(found["close_return"]) - np.log(2), abs=1e-5)
    # log returns 0.00995, 0.02956, -0.01005: less the median, over the median of what is left.
    assert found["own_return"] == pytest.approx([0.0, 0.01961 / 0.01961, -0.02000 / 0.01961], abs=1e-3)
    # gaps 0, 0.00995, -0.02020, bodies 0.00995, 0.01961, 0.01015; less their medians 0 and 0.01015.
    assert found["gap_share"] == pytest.approx([0.0, 0.00995 / (0.00995 + 0.00946), 1.0], abs=1e-3)


def test_the_last_price_is_the_newest_present_and_none_is_missing() -> None:
    row, empty = [10, 10, 10, 10, 5, NAN], [NAN] * 6
    found, _ = derive([[20, 20, 20, 20, 5, NAN]] * 2, [row, empty], [empty, empty])
    assert found["close_return"] == pytest.approx([np.log(2), NAN], nan_ok=True)
    assert np.isnan(found["cap_change"]).all()
    assert np.isnan(found["close_place"]).all()  # no range to be placed in


def test_a_zero_volume_has_no_logarithm_and_counts_as_a_share() -> None:
    row = [10, 11, 9, 10, 5, 100]
    found, shares = derive([[10, 11, 9, 10, 0, 100], [10, 11, 9, 10, NAN, NAN]], [row, row])
    assert np.isnan(found["volume_change"]).all()
    assert np.isnan(found["turnover"]).all()
    assert (shares["zero_volume"], shares["no_volume"], shares["no_market_cap"]) == (0.5, 0.5, 0.5)


def test_a_zero_volume_before_is_stepped_over_and_only_the_newest_sessions_count() -> None:
    row, silent = [10, 11, 9, 10, 5, 100], [10, 11, 9, 10, 0, 100]
    found, _ = derive([[10, 11, 9, 10, 10, 100]], [row], [silent])
    assert found["volume_change"] == pytest.approx([np.log(2)])
    long = [[[10, 11, 9, 10, 9999, 100]], *[[row]] * BACK_SESSIONS]
    assert derive([row], *long)[0]["volume_level"] == pytest.approx([0.0], abs=1e-6)


def test_shares_are_of_the_symbols_that_they_can_be_said_of() -> None:
    before = [[10, 11, 9, 10, 5, 1], [10, 11, 9, 10, 5, 1], [10, 10, 10, 10, 5, 1], [NAN] * 6, [10, 11, 9, 10, 5, 1]]
    today = [[10, 11, 9, 10, 5, 1], [9, 11, 9, 10, 5, 1], [10, 10, 10, 10, 5, 1], [10, 11, 9, 10, 5, 1], [NAN] * 6]
    _, shares = derive(today, before)
    assert shares["same_prices"] == pytest.approx(1 / 3)  # the flat one may well be as it was
    assert shares["same_close"] == pytest.approx(1.0)
    assert shares["flat"] == pytest.approx(1 / 4)


def test_an_empty_session_has_neither() -> None:
    found, shares = derive([[NAN] * 6] * 2, [[NAN] * 6] * 2)
    assert np.isnan(list(found.values())).all()
    assert np.isnan(list(shares.values())).all()


@pytest.mark.parametrize(("today", "before"), [((3, 5), (1, 3, 5)), ((3, 6), (1, 4, 6)), ((3, 6), (0, 3, 6))])
def test_shapes_that_do_not_belong_together_are_refused(today: tuple[int, ...], before: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"one or more back\. Received"):
        derive_columns(np.ones(today), np.ones(before))
