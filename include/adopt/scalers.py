"""Per-symbol standard scalers as two tables of numbers, from the pickle that a team kept them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from include.adopt.pickles import Made, read_pickle
from include.adopt.sklearn_pickles import ARRAY, SCALER, SKLEARN_0_20
from include.errors import InputError

HYPERS = "model_hypers"
"""The key that is no symbol."""


@dataclass(frozen=True)
class Scalers:
    """What each symbol's columns are standardised by: (value - mean) / scale.

    Attributes
    ----------
    symbols
        Sorted.
    means, scales
        float64 (n_symbols, n_columns), finite, no scale zero.
    hypers
        What the file says of the model.
    names
        Symbols by the names that bars have for them, where these are others.
    """

    symbols: tuple[str, ...]
    means: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]
    hypers: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def vocabulary(self) -> dict[str, int]:
        """Each symbol's number, from 1 on, under its own name and under that of the bars."""
        numbers = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}
        return numbers | {name: numbers[symbol] for name, symbol in self.names.items()}


def read_scalers(path: Path, columns: tuple[str, ...]) -> Scalers:
    """Read a pickle of dict[symbol][column] to StandardScaler, and `model_hypers`.

    Raises
    ------
    InputError
        It is no such pickle: says which rule is broken, by which symbol and column.
    """
    found = read_pickle(path, SKLEARN_0_20)
    if not isinstance(found, dict) or not isinstance(found.get(HYPERS), dict):
        raise InputError(f"a scaler file must be a dict of symbols and {HYPERS}", place=path.name)
    symbols = tuple(sorted(found.keys() - {HYPERS}))
    if not symbols:
        raise InputError("a scaler file must hold at least one symbol", value=0, place=path.name)
    table = np.array([_read_symbol(found[symbol], columns, f"{path.name}, {symbol}") for symbol in symbols])
    return Scalers(symbols, table[..., 0], table[..., 1], found[HYPERS])


def _read_symbol(by_column: Any, columns: tuple[str, ...], place: str) -> list[tuple[float, float]]:
    if not isinstance(by_column, dict) or by_column.keys() != set(columns):
        received = sorted(by_column)[:20] if isinstance(by_column, dict) else type(by_column).__name__
        raise InputError(f"a symbol must have scalers for {', '.join(columns)}", value=received, place=place)
    return [_read_scaler(by_column[column], f"{place}, {column}") for column in columns]


def _read_scaler(scaler: Any, place: str) -> tuple[float, float]:
    if not isinstance(scaler, Made) or scaler.kind != SCALER:
        raise InputError("a column must have a StandardScaler", value=type(scaler).__name__, place=place)
    if scaler.state.get("with_mean") is not True or scaler.state.get("with_std") is not True:
        raise InputError("a StandardScaler must be with_mean and with_std", place=place)
    mean, scale = (_read_number(scaler.state.get(name), f"{place}, {name}") for name in ("mean_", "scale_"))
    if scale == 0:
        raise InputError("a scale must not be zero", value=scale, place=place)
    return mean, scale


def _read_number(array: Any, place: str) -> float:
    values = array.value if isinstance(array, Made) and array.kind == ARRAY else None
    if values is None or values.shape != (1,) or not np.isfinite(values).all():
        raise InputError("a fitted scaler must have one finite number for a column", place=place)
    return float(values[0])


def add_names(scalers: Scalers, path: Path) -> Scalers:
    """Add the names that bars have for the symbols, from a CSV with the columns symbol and name.

    Raises
    ------
    InputError
        It is no such CSV, names a symbol without a scaler, or one name is to mean two symbols.
    """
    options = pacsv.ConvertOptions(
        column_types={"symbol": pa.string(), "name": pa.string()}, include_columns=["symbol", "name"]
    )
    try:
        table = pacsv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        rule, value = "names must be a CSV with the columns symbol and name", " ".join(str(error).split())[:200]
        raise InputError(rule, value=value, place=path.name) from None
    names: dict[str, str] = {}
    for symbol, name in zip(table["symbol"].to_pylist(), table["name"].to_pylist(), strict=True):
        if symbol not in scalers.symbols:
            raise InputError("a name must be that of a symbol with scalers", value=symbol, place=path.name)
        if names.setdefault(name, symbol) != symbol or (name in scalers.symbols and name != symbol):
            raise InputError("a name must mean one symbol", value=name, place=path.name)
    return replace(scalers, names=names)
