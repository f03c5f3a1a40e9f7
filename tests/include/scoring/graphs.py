"""Small graphs for tests of how graphs are run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import TensorProto, helper, save

_OPSET = [helper.make_opsetid("", 17)]


def write_market_graph(path: Path, names: tuple[str, ...], *, lookback: int, metadata: str | None = None) -> Path:
    """Write a graph whose log returns are the first two of its market-wide columns, of a window's newest session."""
    constants = [
        helper.make_tensor("newest", TensorProto.INT64, [], [-1]),
        helper.make_tensor("columns", TensorProto.INT64, [2], [0, 1]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
    ]
    nodes = [
        helper.make_node("Gather", ["market", "newest"], ["beside"], axis=1),
        helper.make_node("Gather", ["beside", "columns"], ["log_return"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", lookback, count])
        for name, count in (("window", 6), ("market", len(names)))
    ]
    found = helper.make_tensor_value_info("log_return", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "market", inputs, [found], constants)
    model = helper.make_model(graph, opset_imports=_OPSET, ir_version=9)
    if metadata != "":
        helper.set_model_props(model, {"market_columns": metadata or ",".join(names)})
    save(model, path)
    return path


def write_columns_graph(path: Path, columns: Sequence[int], shape: Sequence[int | str]) -> Path:
    """Write a graph that gives some columns of a window's newest session."""
    nodes = [
        helper.make_node("Gather", ["window", "newest"], ["bar"], axis=1),
        helper.make_node("Gather", ["bar", "columns"], ["log_return"], axis=1),
    ]
    constants = [
        helper.make_tensor("newest", TensorProto.INT64, [], [-1]),
        helper.make_tensor("columns", TensorProto.INT64, [len(columns)], columns),
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, shape)
    found = helper.make_tensor_value_info("log_return", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "columns", [window], [found], constants)
    save(helper.make_model(graph, opset_imports=_OPSET, ir_version=9), path)
    return path
