"""Distinct texts keep the number that they got first, and there is a limit to them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.errors import InputError
from include.uploads.text_codes import TextCodes


def test_numbers_follow_the_order_of_coming() -> None:
    codes = TextCodes("symbols", 9, "day.csv")
    assert codes.encode(pa.array(["b", "a", "b"])).tolist() == [0, 1, 0]
    assert codes.encode(pa.array(["c", "a", "é", "c"])).tolist() == [2, 1, 3, 2]
    assert codes.texts.to_pylist() == ["b", "a", "c", "é"]
    assert codes.encode(pa.array([], pa.string())).tolist() == []
    assert len(codes) == 4


def test_there_is_a_limit() -> None:
    codes = TextCodes("symbols", 3, "day.csv")
    codes.encode(pa.array(["a", "b", "c", "a"]))
    with pytest.raises(InputError, match=r"at most 3 distinct symbols. Received: 4 or more .in day\.csv"):
        codes.encode(pa.array(["a", "d"]))
