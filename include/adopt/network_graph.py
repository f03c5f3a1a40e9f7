"""A network's layers as nodes of an ONNX graph, in ONNX's textual syntax, with Keras 2's own arithmetic.

ONNX's GRU with linear_before_reset = 0 is Keras's with reset_after = false, its gates in the same order (update, reset,
candidate); its HardSigmoid takes Keras 2's slope and offset, max(0, min(1, 0.2 x + 0.5)).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from include.adopt.network import Layer, Network

_ACTIVATIONS = {"linear": "Identity", "tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


@dataclass
class Nodes:
    """Lines of a textual graph, and the arrays that they name."""

    lines: list[str] = field(default_factory=list)
    constants: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def keep(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """Keep an array under a name; return the name."""
        self.constants[name] = values
        return name

    def add(self, text: str) -> None:
        """Add lines."""
        self.lines += [line.strip() for line in text.strip().splitlines()]


def add_network(nodes: Nodes, network: Network, *, source: str, target: str) -> None:
    """Add a network from float32 `source` (n, steps, features) to `target` (n, outputs)."""
    name = source
    for position, layer in enumerate(network.layers):
        last = position == len(network.layers) - 1
        found = target if last else f"layer_{position}"
        _ADD[layer.kind](nodes, layer, name, found)
        name = found


def _add_bidirectional(nodes: Nodes, layer: Layer, source: str, target: str) -> None:
    units = int(layer.config["layer"]["config"]["units"])
    ways = [{part: layer.weights[f"{way}/{part}"] for part in _PARTS} for way in ("forward", "backward")]
    nodes.keep(f"{target}_W", np.stack([way["kernel"].T for way in ways]))
    nodes.keep(f"{target}_R", np.stack([way["recurrent_kernel"].T for way in ways]))
    zeros = np.zeros(3 * units, dtype=np.float32)  # of the recurrent bias, which this GRU does not have
    nodes.keep(f"{target}_B", np.stack([np.concatenate([way["bias"], zeros]) for way in ways]))
    nodes.keep(f"{target}_shape", np.array([0, 2 * units], dtype=np.int64))
    settings = (
        f'hidden_size = {units}, direction = "bidirectional", linear_before_reset = 0,'
        ' activations = ["HardSigmoid", "Tanh", "HardSigmoid", "Tanh"],'
        " activation_alpha = [0.2, 0.2], activation_beta = [0.5, 0.5]"
    )
    nodes.add(f"""
        {target}_steps = Transpose <perm = [1, 0, 2]> ({source})
        {target}_all, {target}_ways = GRU <{settings}> ({target}_steps, {target}_W, {target}_R, {target}_B)
        {target}_side = Transpose <perm = [1, 0, 2]> ({target}_ways)
        {target} = Reshape ({target}_side, {target}_shape)
    """)


def _add_normalisation(nodes: Nodes, layer: Layer, source: str, target: str) -> None:
    names = [nodes.keep(f"{target}_{part}", layer.weights[part]) for part in _STATISTICS]
    epsilon = float(layer.config["epsilon"])
    nodes.add(f"{target} = BatchNormalization <epsilon = {epsilon!r}> ({source}, {', '.join(names)})")


def _add_dense(nodes: Nodes, layer: Layer, source: str, target: str) -> None:
    names = [nodes.keep(f"{target}_{part}", layer.weights[part]) for part in ("kernel", "bias")]
    nodes.add(f"""
        {target}_sum = Gemm ({source}, {", ".join(names)})
        {target} = {_ACTIVATIONS[layer.config["activation"]]} ({target}_sum)
    """)


_PARTS = ("kernel", "recurrent_kernel", "bias")
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
_ADD = {"Bidirectional": _add_bidirectional, "BatchNormalization": _add_normalisation, "Dense": _add_dense}
