"""Whether an adopted graph answers as the original software did: every row of an upload beside the expected answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.csv as pacsv
from onnx import TensorProto, helper

from include.adopt.contracts import Contract
from include.errors import InputError
from include.lake.dense import read_floats
from include.schema import WINDOW_COLUMNS
from include.scoring.inputs import prepare_inputs
from include.uploads.read import read_upload

_KEYS = ("symbol", "index")


@dataclass(frozen=True)
class Checked:
    """How near a graph's raw answers are to those of the original.

    Attributes
    ----------
    rows
        That have an expected answer.
    relative_difference
        The largest |answer - expected| / |expected|; large where the expected answer is next to zero.
    absolute_difference
        The largest |answer - expected|.
    tolerance_share
        The largest share of its tolerance that a row took up; above 1 the graph does not agree.
    worst
        The row that took up most: symbol and index.
    """

    rows: int
    relative_difference: float
    absolute_difference: float
    tolerance_share: float
    worst: str


def check_graph(model: onnx.ModelProto, contract: Contract, *, upload: Path, expected: Path) -> Checked:
    """Run a graph on ONNX Runtime over every row of an upload that has an expected answer.

    Parameters
    ----------
    model, contract
        The graph, and what it was made by.
    upload
        Bars in any form that an upload may have.
    expected
        A CSV with the columns symbol, index (0 for a symbol's first row) and the contract's `raw`.

    Raises
    ------
    InputError
        A file cannot be read, a row has no bars, or an answer is not as near as the contract asks.
    """
    symbols, indices, wanted = _read_expected(expected, contract.raw)
    windows = _build_windows(_read_bars(upload), symbols, indices, contract.lookback, expected.name)
    found = _run_raw(model, contract.raw, windows, symbols)
    difference = np.abs(found - wanted)
    share = difference / (contract.absolute_tolerance + contract.relative_tolerance * np.abs(wanted))
    share[np.isnan(share)] = np.inf
    worst = int(share.argmax())
    relative = np.divide(difference, np.abs(wanted), out=np.zeros_like(difference), where=wanted != 0)
    checked = Checked(
        rows=len(wanted),
        relative_difference=float(relative.max()),
        absolute_difference=float(difference.max()),
        tolerance_share=float(share[worst]),
        worst=f"{symbols[worst]} {indices[worst]}",
    )
    if not checked.tolerance_share <= 1:
        rule = (
            f"answers must agree to {contract.relative_tolerance:g} of the expected one"
            f" and {contract.absolute_tolerance:g}"
        )
        value = f"{found[worst]:.9g} in place of {wanted[worst]:.9g} ({checked.worst})"
        raise InputError(rule, value=value, place=expected.name)
    return checked


def _read_expected(path: Path, column: str) -> tuple[npt.NDArray[np.object_], list[int], npt.NDArray[np.float64]]:
    types = {"symbol": pa.string(), "index": pa.int64(), column: pa.float64()}
    options = pacsv.ConvertOptions(column_types=types, include_columns=[*_KEYS, column])
    try:
        table = pacsv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        rule = f"expected answers must be a CSV with the columns symbol, index and {column}"
        raise InputError(rule, value=" ".join(str(error).split())[:200], place=path.name) from None
    table = table.drop_null()
    if not table.num_rows:
        raise InputError("a file of expected answers must hold at least one", value=0, place=path.name)
    if not np.isfinite(table[column].to_numpy()).all():
        raise InputError("expected answers must be finite numbers", place=path.name)
    symbols = np.array(table["symbol"].to_pylist(), dtype=object)
    return symbols, table["index"].to_pylist(), table[column].to_numpy()


def _read_bars(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Bars of each symbol in time order, float64 (n_rows, 6)."""
    with read_upload(path) as upload:
        if upload.refused.num_rows:
            raise InputError("every row of the upload must be readable", value=upload.refused.num_rows, place=path.name)
        table = upload.bars.to_table().sort_by([("symbol", "ascending"), ("session", "ascending")])
    values = np.stack([read_floats(table, name) for name in WINDOW_COLUMNS], axis=1)
    names = np.array(table["symbol"].to_pylist(), dtype=object)
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]][: len(names)])
    return {names[start]: part for start, part in zip(starts, np.split(values, starts[1:]), strict=True)}


def _build_windows(
    bars: dict[str, npt.NDArray[np.float64]],
    symbols: npt.NDArray[np.object_],
    indices: list[int],
    lookback: int,
    place: str,
) -> npt.NDArray[np.float64]:
    """Rows before each index, (n, lookback, 6), NaN where a symbol's history has not begun."""
    windows = np.full((len(indices), lookback, len(WINDOW_COLUMNS)), np.nan)
    for window, symbol, index in zip(windows, symbols, indices, strict=True):
        history = bars.get(symbol)
        if history is None or not 1 <= index <= len(history):
            raise InputError("an expected answer must have bars before it", value=f"{symbol} {index}", place=place)
        rows = history[max(0, index - lookback) : index]
        window[-len(rows) :] = rows
    return windows


def _run_raw(
    model: onnx.ModelProto, raw: str, windows: npt.NDArray[np.float64], symbols: npt.NDArray[np.object_]
) -> npt.NDArray[np.float64]:
    """Run the graph with one of its inner tensors shown; nothing else of it is another."""
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.append(helper.make_tensor_value_info(raw, TensorProto.FLOAT, None))
    session: Any = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float64] = session.run([raw], prepare_inputs(session, windows, symbols))[0][:, 0]
    return found.astype(np.float64)
