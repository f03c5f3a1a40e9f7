"""From a Keras model of raw windows to the artifact: one ONNX graph whose names, and bytes, do not depend on the run.

tf2onnx names tensors after counters of the process and orders nodes after the names; here both are made to follow from
the graph's structure alone, so that the same weights give the same file and its hash means something.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx

from models.keras_runtime import keras, known_warnings_ignored
from models.protocol import INPUT_NAME, MARKET_METADATA, MARKET_NAME, OUTPUT_NAME, WINDOW_COLUMNS

OPSET = 18
"""Operators as of ONNX 1.13: what tf2onnx 1.17 writes and every ONNX Runtime from 1.14 on reads."""


def export_onnx(model: Any, path: Path, *, lookback: int, market: tuple[str, ...] = ()) -> None:
    """Write a Keras model of raw windows as ONNX.

    Parameters
    ----------
    model
        Takes float32 (n_symbols, lookback, 6), gives float32 (n_symbols, 2).
    market
        Market-wide columns: the model takes float32 (n_symbols, lookback, k) of them too.
    """
    shapes = {INPUT_NAME: len(WINDOW_COLUMNS)} | ({MARKET_NAME: len(market)} if market else {})
    signature = [keras.InputSpec(shape=(None, lookback, k), dtype="float32", name=name) for name, k in shapes.items()]
    with tempfile.TemporaryDirectory() as folder, known_warnings_ignored():
        raw = Path(folder) / "model.onnx"
        model.export(
            str(raw),
            format="onnx",
            input_signature=signature if not market else [signature],
            opset_version=OPSET,
            verbose=False,
        )
        graph = onnx.load(raw)
    graph.graph.CopyFrom(_rebuild_canonically(graph.graph))
    if market:
        onnx.helper.set_model_props(graph, {MARKET_METADATA: ",".join(market)})
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _rebuild_canonically(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Build the graph again, its nodes in the order in which the output needs them and other names by position.

    Inputs and output get the contract's; what nothing needs is left out.
    """
    nodes = _order_nodes(graph)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    constants = list(dict.fromkeys(name for node in nodes for name in node.input if name in tensors))
    names = {name: f"constant_{k}" for k, name in enumerate(constants)}
    names |= {name: f"tensor_{k}" for k, name in enumerate(name for node in nodes for name in node.output)}
    names |= {each.name: name for each, name in zip(graph.input, (INPUT_NAME, MARKET_NAME), strict=False)}
    names |= {"": "", graph.output[0].name: OUTPUT_NAME}
    rebuilt = onnx.GraphProto(name="closecast", input=graph.input, output=graph.output)
    for value in (*rebuilt.input, rebuilt.output[0]):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "n_symbols"
    for name in constants:
        rebuilt.initializer.add().CopyFrom(tensors[name])
        rebuilt.initializer[-1].name = names[name]
    for position, node in enumerate(nodes):
        _add_renamed(rebuilt, node, names, position)
    return rebuilt


def _add_renamed(graph: onnx.GraphProto, node: onnx.NodeProto, names: dict[str, str], position: int) -> None:
    added = graph.node.add()
    added.CopyFrom(node)
    added.name = f"{node.op_type}_{position}"
    added.input[:] = [names[name] for name in node.input]
    added.output[:] = [names[name] for name in node.output]


def _order_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Order the nodes by the structure alone: each after what it reads, depth first from the output."""
    maker_of = {name: node for node in graph.node for name in node.output}
    ordered: dict[str, onnx.NodeProto] = {}
    pending = [graph.output[0].name]
    while pending:
        node = maker_of.get(pending[-1])
        unmade = [] if node is None else [name for name in node.input if _is_unmade(name, maker_of, ordered)]
        if unmade:
            pending.append(unmade[0])
            continue
        pending.pop()
        if node is not None:
            ordered[node.output[0]] = node
    return list(ordered.values())


def _is_unmade(name: str, maker_of: dict[str, onnx.NodeProto], ordered: dict[str, onnx.NodeProto]) -> bool:
    return name in maker_of and maker_of[name].output[0] not in ordered
