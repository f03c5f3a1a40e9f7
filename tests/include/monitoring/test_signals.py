"""Signals worked by hand, or held against NumPy's own."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from include.monitoring.signals import add_inputs, compare_outputs, correlate, measure_signals
from include.quality.drift import build_reference
from tests.include.monitoring.scenes import build_signals, day

SYMBOLS = 40


def outcomes(sessions: int, **changed: object) -> pa.Table:
    """Outcomes of the close: every forecast 0.01, every move 0.02 but for a symbol's own part."""
    n = sessions * SYMBOLS
    own = np.tile(np.linspace(-0.01, 0.01, SYMBOLS), sessions)
    columns = {
        "target_session": np.repeat(np.array([day(at) for at in range(sessions)], dtype="datetime64[D]"), SYMBOLS),
        "horizon": np.ones(n, dtype=np.int64),
        "target": ["close"] * n,
        "status": ["scored"] * n,
        "error": np.full(n, 0.01),
        "last_close_error": np.full(n, 0.02) + own,
        "inside_80": np.arange(n) % 2 == 0,
        "inside_95": np.ones(n, dtype=bool),
        "in_sample": np.zeros(n, dtype=bool),
        "volatility": np.full(n, 0.01),
        "model_version": np.ones(n, dtype=np.int64),
    }
    return pa.table(columns | changed)


def measure(rows: pa.Table, sessions: int) -> dict[str, list[float]]:
    found = measure_signals(rows, [day(at) for at in range(sessions)], recent=1)
    return {name: values.tolist() for name, values in found.values.items()}


def test_signals_are_those_worked_by_hand() -> None:
    found = measure(outcomes(3), 3)
    assert found["skill_close"] == pytest.approx([0.5] * 3)
    assert found["coverage_80_close"] == pytest.approx([0.3] * 3)
    assert found["coverage_95_close"] == pytest.approx([-0.05] * 3)
    assert found["correlation_close"] == pytest.approx([-1.0] * 3)
    assert found["outputs_close"] == pytest.approx([0.0] * 3, abs=0.02)
    assert np.isnan(found["skill_open"]).all()


def test_the_order_of_rows_changes_nothing() -> None:
    rows = outcomes(3)
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    assert measure(shuffled, 3)["correlation_close"] == pytest.approx(measure(rows, 3)["correlation_close"])
    assert measure(shuffled, 3)["skill_close"] == pytest.approx(measure(rows, 3)["skill_close"])


@pytest.mark.parametrize(
    "changed",
    [
        {"in_sample": np.ones(SYMBOLS, dtype=bool)},
        {"status": ["fallback"] * SYMBOLS},
        {"horizon": np.full(SYMBOLS, 2)},
    ],
    ids=["in_sample", "fallback", "horizon 2"],
)
def test_what_does_not_count_gives_no_signal(changed: dict[str, object]) -> None:
    assert np.isnan(list(measure(outcomes(1, **changed), 1).values())).all()


def test_a_session_of_few_forecasts_gives_no_signal() -> None:
    assert np.isnan(measure(outcomes(2).slice(0, SYMBOLS + 5), 2)["skill_close"][1])


def test_the_correlation_is_numpys() -> None:
    rng = np.random.default_rng(0)
    one, other, place = rng.normal(size=100), rng.normal(size=100), np.repeat([0, 1], 50)
    wanted = [np.corrcoef(one[at : at + 50], other[at : at + 50])[0, 1] for at in (0, 50)]
    assert correlate(one, other, place, 3)[:2] == pytest.approx(wanted)
    assert np.isnan(correlate(one, np.ones(100), place, 2)).all()


def test_outputs_are_compared_with_the_same_versions_earlier_sessions() -> None:
    rng = np.random.default_rng(0)
    said, place = rng.normal(size=800), np.repeat(np.arange(8), 100)
    said[place == 7] *= 3
    psi = compare_outputs(said, place, np.array([1, 2, 2, 2, 2, 2, 2, 2]), recent=2)
    assert np.isnan(psi[0])
    assert psi[7] > 3 * np.nanmax(psi[1:7])
    assert np.isnan(compare_outputs(said, place, np.array([1] * 7 + [2]), recent=2)).all()


def test_inputs_are_the_largest_statistic_over_its_limit_by_date() -> None:
    rng = np.random.default_rng(0)
    close = np.exp(np.cumsum(rng.normal(0, 0.02, (80, 50)), axis=0))
    prices = [close * 0.99, close * 1.02, close * 0.97, close, rng.lognormal(5, 1, close.shape), close * 1e6]
    values = np.stack(prices, axis=-1).astype(np.float32)
    days = [date.fromordinal(736_846 + at) for at in range(80)]
    reference = build_reference(values[:70], days[:70])
    values[-1, :, :4] *= 1.5
    signals = build_signals(np.zeros(80))
    assert signals.sessions == days
    found = add_inputs(signals, reference, values, days, 3)
    inputs = found.values["inputs"]
    assert np.isnan(inputs[:-3]).all()
    assert (inputs[-3:-1] < 1).all()
    assert inputs[-1] > 1
    assert found.causes["inputs", days[-1]].startswith(("close_return", "open_gap"))
    gap = build_signals(np.zeros(79))
    assert np.isnan(add_inputs(gap, reference, values[:70], days[:70], 3).values["inputs"]).all()
