"""Cells as numbers: worked by hand, and against Python's own float."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import InputError
from include.uploads.numbers import MISSING_WORDS, read_numbers


def read_one(text: str) -> tuple[float | None, bool]:
    values, unreadable = read_numbers(pa.array([text]), "day.csv")
    return values[0].as_py(), bool(unreadable[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4,396,930,000", 4396930000.0),
        ("12,345.67", 12345.67),
        ("7.6e-07", 7.6e-07),
        ("1E5", 100000.0),
        ("+2.5", 2.5),
        ("  8 ", 8.0),
        ("-1,000", -1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("0012", 12.0),
    ],
)
def test_number_is_read(text: str, value: float) -> None:
    assert read_one(text) == (value, False)


@pytest.mark.parametrize(
    "text",
    [
        *("1,2", "1,23,456", "12345,678", ",123", "1,234,", "0,123", "1.5,000", "1,234x", "1_000", "1 000", "1\n2"),
        *("0x1F", "1e", "e5", ".", "+", "--1", "1.2.3", "$5", "5%", "ten", "٣", "NA", "inf", "-Infinity", "1e999"),
    ],
)
def test_cell_that_is_no_number_is_unreadable(text: str) -> None:
    assert read_one(text) == (None, True)


@pytest.mark.parametrize("text", [*MISSING_WORDS, "NULL", "NaN", "None", "N/A", " - ", "   "])
def test_missing_word_is_neither_a_number_nor_unreadable(text: str) -> None:
    assert read_one(text) == (None, False)


def test_dirt_leaves_its_neighbours_alone() -> None:
    values, unreadable = read_numbers(pa.array(["1", None, "x", "-", "2,000", "nan"]), "day.csv")
    assert values.to_pylist() == [1.0, None, None, None, 2000.0, None]
    assert unreadable.tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("cells", "values", "unreadable"),
    [
        (pa.array([1.5, math.nan, math.inf, None]), [1.5, None, None, None], [False, False, True, False]),
        (pa.array([2**60 + 1]), [float(2**60)], [False]),
        (pa.array([Decimal("0.00000076"), None]), [7.6e-07, None], [False, False]),
        (pa.array(["-", "1,000"]).dictionary_encode(), [None, 1000.0], [False, False]),
        (pa.nulls(2), [None, None], [False, False]),
        (pa.array([], pa.string()), [], []),
    ],
)
def test_typed_columns_are_read(cells: pa.Array, values: list[float | None], unreadable: list[bool]) -> None:
    read, mask = read_numbers(cells, "day.parquet")
    assert read.type == pa.float64()
    assert (read.to_pylist(), mask.tolist()) == (values, unreadable)


@pytest.mark.parametrize("cells", [pa.array([True]), pa.array([date(2018, 6, 1)]), pa.array([[1.0]])])
def test_type_without_numbers_is_named(cells: pa.Array) -> None:
    with pytest.raises(InputError, match=r"must be numbers or text\. Received: .*day\.parquet, open"):
        read_numbers(cells, "day.parquet, open")


def is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_survive_being_written(numbers: list[float]) -> None:
    values, unreadable = read_numbers(pa.array([repr(number) for number in numbers], pa.string()), "day.csv")
    assert values.to_pylist() == numbers
    assert not unreadable.any()


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", " ", "\t"]), st.booleans())
def test_thousand_separators_survive(number: int, space: str, has_fraction: bool) -> None:
    text = f"{number:,}" + (".50" if has_fraction else "")
    assert read_one(space + text + space) == (float(text.replace(",", "")), False)


@given(st.text(alphabet="0123456789.,+-eE \tn", max_size=8))
def test_only_what_python_reads_without_separators_is_a_number(text: str) -> None:
    value, unreadable = read_one(text)
    if value is not None:
        assert value == float(text.replace(",", ""))
    elif not unreadable:
        assert text.strip().lower() in MISSING_WORDS
    elif "," not in text:
        assert not is_finite_number(text)
