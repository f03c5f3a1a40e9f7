"""Entries run by Great Expectations where the frame itself is not what it should be."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.quality.engine import run_suite
from include.quality.history import SessionHistory
from include.quality.results import ExpectationResult
from include.quality.suites import DEFAULT_FILE, Suites, read_suites

SUITE = {entry.name: entry for entry in read_suites(DEFAULT_FILE).session}
WORDS = {"name": "mine", "severity": "warn", "sentence": "s", "remedy": "r"}


def judge(frame: pd.DataFrame, *names: str, **mine: object) -> list[ExpectationResult]:
    entries = [SUITE[name] for name in names]
    if mine:
        default = read_suites(DEFAULT_FILE).model_dump()
        entries += Suites.model_validate(default | {"session": [WORDS | mine]}).session
    history = SessionHistory(
        session=date(2018, 6, 1),
        closed=True,
        bars=pa.table({}),
        before=[],
        absent={},
        counts=np.empty(0, np.int64),
        symbols=np.empty(0, object),
        closes=np.empty((1, 0)),
        newest=np.empty((1, 0, 6)),
    )
    frame.attrs["history"] = history
    return run_suite("session", entries, frame, history).results


def frame_of(**columns: object) -> pd.DataFrame:
    prices = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume", "market_cap")}
    frame = pd.DataFrame(
        {"symbol": ["A", "B"], "session": [date(2018, 6, 1)] * 2, "released": False} | prices | columns
    )
    frame["symbol"] = frame["symbol"].astype(object)
    return frame


def test_prices_that_are_texts_fail_and_name_the_column() -> None:
    (found,) = judge(frame_of(open=["1.0", "2.0"]), "prices_are_numbers")
    assert not found.success
    assert found.detail.startswith("open: ")


def test_a_row_that_was_released_is_not_held_to_the_order_of_prices() -> None:
    disordered = {"low": [3.0, 3.0], "released": [True, False]}
    (found,) = judge(frame_of(**disordered), "low_is_lowest")
    assert (found.success, found.unexpected_count, found.symbols) == (False, 1, ["B"])
    (found,) = judge(frame_of(**disordered | {"released": [True, True]}), "low_is_lowest")
    assert found.success


def test_a_column_that_is_gone_fails_with_what_the_library_says() -> None:
    there, values = judge(frame_of().drop(columns=["volume"]), "columns_are_there", "volume_not_negative")
    assert not there.success
    assert not values.success
    assert "volume" in values.detail


def test_another_column_more_is_no_fault() -> None:
    (found,) = judge(frame_of(note=["x", "y"]), "columns_are_there")
    assert found.success


@pytest.mark.parametrize(("closes", "success"), [([1.0, 1.0], False), ([1.0, 2.0], True)])
def test_several_columns_together_may_have_to_be_unique(closes: list[float], success: bool) -> None:
    frame = frame_of(open=[1.0, 1.0], close=closes)
    (found,) = judge(frame, kind="unique", columns=["open", "close"])
    assert found.success is success
    assert found.symbols == ([] if success else ["A", "B"])


def test_an_empty_session_is_judged() -> None:
    found = judge(frame_of().iloc[:0], "low_is_lowest", "one_row_a_symbol", "prices_positive", "rows_differ")
    assert all(result.success for result in found)
