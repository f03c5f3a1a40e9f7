"""Drift: statistics by hand and by scipy, the rule's limits, and faults found in a market that moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import ks_2samp

from include.errors import InputError
from include.quality import drift
from include.quality.drift import DriftReference, build_reference, judge_session
from include.quality.drift_columns import BACK_SESSIONS, COLUMNS, SHARES, derive_columns

SYMBOLS, SESSIONS = 300, 140
DAYS = [date(2024, 1, 1) + timedelta(days=at) for at in range(SESSIONS)]


def make_market(seed: int = 0) -> np.ndarray:
    """A market of one common and many own moves, gaps smaller than bodies, volumes that wander; (sessions, n, 6)."""
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, SYMBOLS)
    wild = np.exp(rng.normal(0, 0.3, (SESSIONS, 1)))
    gap = wild * (rng.normal(0, 0.003, (SESSIONS, 1)) + rng.normal(0, 0.004, shape))
    body = wild * (rng.normal(0, 0.01, (SESSIONS, 1)) + rng.normal(0, 0.02, shape))
    close = np.exp(rng.normal(0, 3, SYMBOLS) + np.cumsum(gap + body, axis=0))
    opening = close / np.exp(body)
    high = np.maximum(opening, close) * np.exp(np.abs(rng.normal(0, 0.01, shape)) * wild)
    low = np.minimum(opening, close) / np.exp(np.abs(rng.normal(0, 0.01, shape)) * wild)
    volume = np.exp(rng.normal(12, 2, SYMBOLS) + rng.normal(0, 0.3, shape) + rng.normal(0, 0.2, (SESSIONS, 1)))
    return np.stack([opening, high, low, close, volume, close * 1e6], axis=-1).astype(np.float32)


MARKET = make_market()
CUT = 120
REFERENCE = build_reference(MARKET[:CUT], DAYS[:CUT])


def drifted(today: np.ndarray, at: int, reference: DriftReference = REFERENCE) -> set[str]:
    found = judge_session(reference, today, MARKET[at - BACK_SESSIONS : at])
    return {result.column for result in found if result.drifted}


def test_calm_sessions_do_not_drift() -> None:
    assert [drifted(MARKET[at], at) for at in range(CUT, SESSIONS)] == [set()] * (SESSIONS - CUT)


def scaled(columns: slice, factor: float) -> Callable[[np.ndarray, int], np.ndarray]:
    def spoil(today: np.ndarray, at: int) -> np.ndarray:
        today[:, columns] *= factor
        return today

    return spoil


def swap_open_and_close(today: np.ndarray, at: int) -> np.ndarray:
    return today[:, [3, 1, 2, 0, 4, 5]]


def freeze(today: np.ndarray, at: int) -> np.ndarray:
    today[:, :4] = MARKET[at - 1, :, 3:4]
    return today


def shuffle_half(today: np.ndarray, at: int) -> np.ndarray:
    today[: SYMBOLS // 2] = np.random.default_rng(0).permutation(today[: SYMBOLS // 2])
    return today


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param(scaled(slice(0, 4), 1.5), "open_gap", id="prices x 1.5"),
        pytest.param(scaled(slice(4, 5), 1000), "volume_level", id="volume in another unit"),
        pytest.param(scaled(slice(4, 5), np.nan), "no_volume", id="no volume"),
        pytest.param(swap_open_and_close, "gap_share", id="open and close swapped"),
        pytest.param(lambda today, at: today[:, [0, 1, 2, 3, 5, 4]], "turnover", id="volume and cap swapped"),
        pytest.param(freeze, "flat", id="frozen feed"),
        pytest.param(lambda today, at: MARKET[at - 1].copy(), "same_prices", id="yesterday's copy"),
        pytest.param(shuffle_half, "own_return", id="half the symbols shuffled"),
    ],
)
def test_a_fault_is_found_in_every_session(fault: Callable[[np.ndarray, int], np.ndarray], told: str) -> None:
    for at in range(CUT, SESSIONS):
        assert told in drifted(fault(MARKET[at].copy(), at), at), at


def test_statistics_are_those_of_the_definition() -> None:
    today, before = MARKET[CUT] * np.float32(1.01), MARKET[CUT - BACK_SESSIONS : CUT]
    found = {(row.column, row.statistic): row.value for row in judge_session(REFERENCE, today, before)}
    pooled = np.concatenate(
        [derive_columns(MARKET[at], MARKET[max(0, at - BACK_SESSIONS) : at])[0] for at in range(1, CUT)], axis=1
    )
    column = COLUMNS.index("open_gap")
    values = derive_columns(today, before)[0][column]
    exact = ks_2samp(values, pooled[column]).statistic
    assert found["open_gap", "ks"] == pytest.approx(exact, abs=0.03)  # on the edges alone, so a little less
    edges = REFERENCE.edges[column].astype(np.float32)
    p, q = (
        np.array([np.sum(np.digitize(x, edges, right=True) == i) for i in range(32)]) for x in (values, pooled[column])
    )
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    assert found["open_gap", "psi"] == pytest.approx(np.sum((p - q) * np.log(p / q)), rel=1e-4)


def test_limits_go_beyond_the_second_largest_of_the_period() -> None:
    ranked = np.arange(40.0)[:, None] / 100
    assert drift._usual_most(ranked).tolist() == [0.38]
    assert np.isnan(drift._usual_most(ranked[:29])).all()
    ks = REFERENCE.ks_limits
    assert ((ks > 0) & (ks < 1)).all()  # KS never exceeds 1, so a limit of 1 would never be reached
    spoilt = MARKET[:CUT].copy()
    spoilt[60] = freeze(spoilt[60], 60)
    blinded = build_reference(spoilt, DAYS[:CUT])
    at = COLUMNS.index("range")
    assert blinded.psi_limits[at] == pytest.approx(REFERENCE.psi_limits[at], rel=0.3)


def test_shares_have_an_absolute_margin() -> None:
    today = MARKET[CUT].copy()
    today[: int(0.09 * SYMBOLS), 4] = np.nan
    assert "no_volume" not in drifted(today, CUT)
    today[: int(0.11 * SYMBOLS), 4] = np.nan
    assert "no_volume" in drifted(today, CUT)


def test_a_column_without_values_is_not_judged() -> None:
    bare = MARKET.copy()
    bare[..., 5] = np.nan
    reference = build_reference(bare[:CUT], DAYS[:CUT])
    judged = {row.column for row in judge_session(reference, bare[CUT], bare[CUT - BACK_SESSIONS : CUT])}
    assert judged == {*COLUMNS, *SHARES} - {"turnover", "cap_change"}
    few = np.full_like(MARKET[CUT], np.nan)
    few[:29] = MARKET[CUT, :29]
    assert {row.statistic for row in judge_session(REFERENCE, few, MARKET[CUT - 1 : CUT])} == {"share"}


def test_json_reads_back_the_same() -> None:
    bare = MARKET.copy()
    bare[..., 5] = np.nan
    for reference in (REFERENCE, build_reference(bare[:CUT], DAYS[:CUT])):
        text = reference.to_json()
        assert len(text) < 40_000
        again = DriftReference.from_json(text)
        assert again.to_json() == text
        for at in (CUT, CUT + 1):
            before = MARKET[at - BACK_SESSIONS : at]
            assert judge_session(again, MARKET[at], before) == judge_session(reference, MARKET[at], before)
    assert (REFERENCE.first_session, REFERENCE.last_session, REFERENCE.sessions) == (DAYS[1], DAYS[CUT - 1], CUT - 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": ["price"]}, "must have the columns that are compared"),
        ({"format": 2}, "must have the columns that are compared"),
        ({"first_session": "today"}, "must be as it was written"),
        ({"edges": None}, "must be as it was written"),
        ({"bins": [[0.5]]}, "must be as it was written"),
    ],
)
def test_another_reference_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DriftReference.from_json(json.dumps(json.loads(REFERENCE.to_json()) | change))
    with pytest.raises(InputError, match="must be as it was written"):
        DriftReference.from_json("no JSON")


def test_the_newest_sessions_make_the_reference_and_too_few_are_refused() -> None:
    long = np.concatenate([MARKET, MARKET])
    days = [DAYS[0] + timedelta(days=at) for at in range(len(long))]
    assert build_reference(long, days).first_session == days[-drift.REFERENCE_SESSIONS]
    with pytest.raises(InputError, match=r"at least 31 sessions\. Received: 30"):
        build_reference(MARKET[:30], DAYS[:30])
    assert build_reference(MARKET[:31], DAYS[:31]).sessions == 30
