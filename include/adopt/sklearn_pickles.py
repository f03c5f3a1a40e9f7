"""What a pickle of scikit-learn 0.20 scalers names, and what is made of it here: numbers and text, by our own code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from include.adopt.pickles import Admitted, Made, Named, RefusedError

SCALER = "sklearn.preprocessing.data.StandardScaler"
DTYPE, ARRAY = "numpy.dtype", "numpy.ndarray"
NUMPY_SCALAR, RECONSTRUCT = "numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct"

_NUMBERS = {"f8": "<f8", "i8": "<i8"}
_ITEM_BYTES = 8


def _make_scaler(arguments: tuple[Any, ...]) -> Made:
    if arguments:
        raise RefusedError("a StandardScaler made with arguments")
    return Made(SCALER)


def _make_dtype(arguments: tuple[Any, ...]) -> Made:
    name = arguments[0] if arguments else None
    if not isinstance(name, str) or name not in _NUMBERS:  # dtype('O') would hold any object
        raise RefusedError("numpy.dtype of other than f8 and i8")
    return Made(DTYPE, value=_NUMBERS[name])


def _make_number(arguments: tuple[Any, ...]) -> int | float:
    if len(arguments) != 2:
        raise RefusedError(f"{NUMPY_SCALAR} of other than a type and its bytes")
    values = _read_numbers(*arguments)
    if len(values) != 1:
        raise RefusedError(f"{NUMPY_SCALAR} of {len(values)} numbers")
    number: int | float = values[0].item()
    return number


def _make_array(arguments: tuple[Any, ...]) -> Made:
    kind = arguments[0] if arguments else None
    if not isinstance(kind, Named) or kind.name != ARRAY:
        raise RefusedError(f"{RECONSTRUCT} of other than {ARRAY}")
    return Made(ARRAY)


def _build_scaler(target: Made, state: Any) -> None:
    if not isinstance(state, dict):
        raise RefusedError("a state of a StandardScaler that is no dict")
    target.state = state


def _build_dtype(target: Made, state: Any) -> None:
    """Its state says nothing that the name does not, unless the bytes stand the other way round."""
    if not (isinstance(state, tuple) and len(state) == 8 and isinstance(state[1], str) and state[1] == "<"):
        raise RefusedError("numpy.dtype of other than little-endian numbers")
    if any(part is not None for part in state[2:5]):
        raise RefusedError("numpy.dtype with parts")


def _build_array(target: Made, state: Any) -> None:
    if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple)):
        raise RefusedError("an array's state of another form")
    _, shape, dtype, _, data = state
    if len(shape) > 2 or not all(type(size) is int and size >= 0 for size in shape):
        raise RefusedError("an array of more than two axes, or of no size")
    values = _read_numbers(dtype, data)
    if math.prod(shape) != len(values):
        raise RefusedError(f"an array of {len(values)} numbers that should be {math.prod(shape)}")
    target.value = values.reshape(shape)


def _read_numbers(dtype: Any, data: Any) -> npt.NDArray[Any]:
    is_numbers = isinstance(dtype, Made) and dtype.kind == DTYPE
    if not (is_numbers and isinstance(data, bytes) and len(data) % _ITEM_BYTES == 0):
        raise RefusedError("an array of other than float64 or int64 numbers")
    return np.frombuffer(data, dtype=dtype.value)


SKLEARN_0_20 = {
    SCALER: Admitted(new=_make_scaler, build=_build_scaler),
    DTYPE: Admitted(call=_make_dtype, build=_build_dtype),
    ARRAY: Admitted(build=_build_array),
    NUMPY_SCALAR: Admitted(call=_make_number),
    RECONSTRUCT: Admitted(call=_make_array),
}
"""A scaler is a `Made` whose `state` holds its attributes; an array is one whose `value` is numpy.ndarray."""
