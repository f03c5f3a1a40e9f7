"""Refused rows are described column by column, and read as if each had been written by itself."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.uploads.refusals import KEPT_CHARS, REFUSALS, Fault, describe_ragged, describe_refusals

HEADERS = {"symbol": "Coin", "high": 'Hi"gh'}
TEXTS = st.one_of(st.none(), st.text(max_size=5), st.text("ab'\"\\", max_size=8), st.sampled_from(["x" * 81, "é" * 80]))


def show(cell: object) -> str:
    text = "null" if cell is None else str(cell)
    return repr(text if len(text) <= 80 else text[:80] + "...")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), min_size=1, max_size=6), st.booleans())
def test_each_row_reads_as_written_by_itself(rows: list[tuple[str | None, str | None, bool]], is_coded: bool) -> None:
    symbols, highs, both = ([row[at] for row in rows] for at in range(3))
    coins = pa.array(symbols, pa.string())
    cells = pa.record_batch(
        {"symbol": coins.dictionary_encode() if is_coded else coins, "high": pa.array(highs, pa.string())}
    )
    faults = [
        Fault("first", "symbol", "must be A", np.array(both)),
        Fault("second", "high", "must be B", np.ones(len(rows), bool)),
    ]
    blanks = pa.array([symbol or "" for symbol in symbols])
    found = describe_refusals(cells, np.arange(len(rows)) * 2, blanks, faults, HEADERS)
    assert found.schema == REFUSALS
    for at, row in enumerate(found.to_pylist()):
        wanted = [f"Coin must be A. Received: {show(symbols[at])}"] if both[at] else []
        assert row == {
            "offset": 2 * at,
            "symbol": symbols[at] or None,
            "expectation": "first" if both[at] else "second",
            "reason": "; ".join([*wanted, f'Hi"gh must be B. Received: {show(highs[at])}']),
            "raw": json.dumps({"Coin": symbols[at], 'Hi"gh': highs[at]}, ensure_ascii=False),
        }


def test_typed_cells_are_written_by_their_text_where_json_has_no_form() -> None:
    cells = pa.record_batch(
        {"symbol": pa.array([date(2018, 6, 1)] * 3), "high": pa.array([float("nan"), None, 1e22])}
    ).append_column("low", pa.array([Decimal("1.50"), None, Decimal("2.00")]))
    faults = [Fault("rule", "high", "must", np.ones(3, bool))]
    found = describe_refusals(cells, np.arange(3), pa.array(["A"] * 3), faults, HEADERS | {"low": "low"})
    assert [json.loads(raw) for raw in found["raw"].to_pylist()] == [
        {"Coin": "2018-06-01", 'Hi"gh': "nan", "low": "1.50"},
        {"Coin": "2018-06-01", 'Hi"gh': None, "low": None},
        {"Coin": "2018-06-01", 'Hi"gh': 1e22, "low": "2.00"},
    ]
    assert [reason.rsplit(" ", 1)[1] for reason in found["reason"].to_pylist()] == ["'nan'", "'null'", "'1e+22'"]


def test_what_is_kept_of_a_line_has_an_end() -> None:
    found = describe_ragged([(3, "y" * (KEPT_CHARS + 1)), (5, "z\t")]).to_pylist()
    assert [row["offset"] for row in found] == [3, 5]
    assert json.loads(found[0]["raw"])["line"] == "y" * KEPT_CHARS + "..."
    assert json.loads(found[1]["raw"]) == {"line": "z\t"}
    assert found[1]["reason"] == "a row must have as many fields as the header. Received: 'z\\t'"
