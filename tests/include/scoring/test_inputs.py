"""What a graph is given by what it declares, and what it is known to leave unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from include.errors import InputError
from include.scoring.graph import find_misfit, load_graph, run_graph
from include.scoring.inputs import FORECAST, VOCABULARY, explain_silence, fill_unforecast, prepare_inputs

WINDOWS = np.full((3, 2, 6), 1 + 2**-40)
SYMBOLS = np.array(["bbb", "new", "aaa"], dtype=object)


def make_graph(path: Path, *, number: str = "double", further: str = "int32[n] symbol_id", said: Any = None) -> Any:
    """Give the symbol's number, and NaN: a graph that forecasts the open alone."""
    text = f"""<ir_version: 9, opset_import: ["": 18]>
        numbers ({number}[n, 2, 6] window, {further}) => (float[n, 2] log_return)
        <float nothing = {{nan}}, int64[1] axis = {{1}}> {{
            known = Cast <to = 1> ({further.split()[1]})
            opened = Unsqueeze (known, axis)
            closed = Mul (opened, nothing)
            log_return = Concat <axis = 1> (opened, closed)
        }}"""
    model = onnx.parser.parse_model(text.replace("{nan}", "{0.0}"))
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32(np.nan), "nothing"))
    said = {VOCABULARY: {"aaa": 1, "bbb": 2}, FORECAST: ["open"]} if said is None else said
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in said.items()})
    onnx.save(model, path)
    return load_graph(path, threads=1)


def test_a_graph_is_given_its_precision_and_the_numbers_of_its_symbols(tmp_path: Path) -> None:
    found = prepare_inputs(make_graph(tmp_path / "g.onnx"), WINDOWS, SYMBOLS)
    assert found["window"].dtype == np.float64
    assert (found["window"] == WINDOWS).all()
    assert found["symbol_id"].dtype == np.int32
    assert found["symbol_id"].tolist() == [2, 0, 1]
    single = prepare_inputs(make_graph(tmp_path / "s.onnx", number="float"), WINDOWS, SYMBOLS)
    assert single["window"].dtype == np.float32


@pytest.mark.parametrize(("further", "symbols"), [("int32[n] weather", SYMBOLS), ("int32[n] symbol_id", None)])
def test_a_graph_that_asks_for_what_is_not_known_is_refused(tmp_path: Path, further: str, symbols: Any) -> None:
    graph = make_graph(tmp_path / "g.onnx", further=further)
    with pytest.raises(
        InputError, match=rf"may ask for windows and, of named symbols, symbol_id\. Received: {further.split()[1]}"
    ):
        prepare_inputs(graph, WINDOWS, symbols)
    misfit = find_misfit(tmp_path / "g.onnx", lookback=2)
    assert misfit is None if symbols is None else "Received: weather" in str(misfit)


def test_each_silence_has_its_reason(tmp_path: Path) -> None:
    reasons = explain_silence(make_graph(tmp_path / "g.onnx"), SYMBOLS)
    assert reasons[0].tolist() == [None, "the model forecasts the open alone, so the last close stands"]
    assert reasons[1].tolist() == ["symbol new is not in the model's vocabulary, so the last close stands"] * 2
    whole = make_graph(tmp_path / "w.onnx", said={VOCABULARY: dict.fromkeys(SYMBOLS, 1)})
    assert (explain_silence(whole, SYMBOLS) == np.full((3, 2), None)).all()


def test_a_target_that_is_left_out_is_the_last_close_where_the_other_is_forecast(tmp_path: Path) -> None:
    graph = make_graph(tmp_path / "g.onnx")
    found = run_graph(graph, WINDOWS, SYMBOLS)
    found[1, 0] = np.nan
    fill_unforecast(graph, found)
    assert found[[0, 2]].tolist() == [[2, 0], [1, 0]]
    assert np.isnan(found[1]).all()


def test_no_windows_give_no_forecasts(tmp_path: Path) -> None:
    graph = make_graph(tmp_path / "g.onnx")
    assert run_graph(graph, WINDOWS[:0], SYMBOLS[:0]).shape == (0, 2)
