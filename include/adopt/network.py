"""A network as Keras 2 wrote it into an .h5 file, read as data: layers of a few known kinds, and arrays of weights.

Keras itself is not asked: it would give other numbers without an error (its hard_sigmoid and its GRU changed with
version 3), and it can build what a file names. HDF5 can point to other files; such a file is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError

MOST_BYTES = 64 * 2**20
MOST_UNITS = 1024
ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid")

_WRITTEN_BY = ("2.2.", "2.3.")
_IGNORED = ("InputLayer", "Dropout")  # which do nothing when a network forecasts
_GRU_RULES: dict[str, Any] = {
    "activation": "tanh",
    "recurrent_activation": "hard_sigmoid",
    "reset_after": False,
    "use_bias": True,
    "return_sequences": False,
    "return_state": False,
    "go_backwards": False,
    "stateful": False,
}

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A layer that computes something.

    Attributes
    ----------
    kind
        Bidirectional (of a GRU), BatchNormalization or Dense.
    config
        As the file has it.
    weights
        By short name: `kernel`, `forward/kernel`, `moving_mean`; finite.
    """

    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, Weights]


@dataclass(frozen=True)
class Network:
    """Layers in the order in which they compute, from (n, steps, features) to (n, outputs)."""

    input_shape: tuple[int, int]
    layers: tuple[Layer, ...]
    written_by: str


def read_network(path: Path) -> Network:
    """Read a network that Keras 2 saved whole.

    Raises
    ------
    InputError
        Says which rule the file breaks: its form, a kind of layer, a setting, a weight's shape.
    """
    import h5py

    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(f"a network's file must not be larger than {MOST_BYTES:,} bytes", value=size, place=path.name)
    try:
        with h5py.File(path, "r") as file:
            return _read_file(file, path.name)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        rule = "a network must be an HDF5 file that Keras 2 saved whole"
        raise InputError(rule, value=said, place=path.name) from None


def _read_file(file: Any, place: str) -> Network:
    version = _as_text(file.attrs["keras_version"])
    if not version.startswith(_WRITTEN_BY):
        rule = f"a network must be written by Keras {' or '.join(each + 'x' for each in _WRITTEN_BY)}"
        raise InputError(rule, value=version[:40], place=place)
    model = json.loads(_as_text(file.attrs["model_config"]))
    if model["class_name"] != "Model":
        raise InputError("a network must be a Keras Model", value=str(model["class_name"])[:80], place=place)
    chain = _order_chain(model["config"], place)
    shape = tuple(chain[0]["config"]["batch_input_shape"])
    if chain[0]["class_name"] != "InputLayer" or len(shape) != 3 or not all(type(size) is int for size in shape[1:]):
        raise InputError("a network must begin with an input (n, steps, features)", value=shape, place=place)
    width, layers = int(shape[2]), []
    for each in chain:
        if each["class_name"] not in _IGNORED:
            layers.append(_read_layer(file["model_weights"], each, width, place))
            width = _find_width(layers[-1], width)
    return Network((int(shape[1]), int(shape[2])), tuple(layers), version)


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _order_chain(config: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Check that each layer reads the one before it and nothing else."""
    chain: list[dict[str, Any]] = config["layers"]
    for position, each in enumerate(chain):
        kind = str(each["class_name"])
        if kind not in (*_IGNORED, *_READERS):
            rule = f"layers must be of {', '.join((*_IGNORED, *_READERS))}"
            raise InputError(rule, value=f"{kind} ({each['name']})"[:120], place=place)
        wanted = [] if position == 0 else [[[chain[position - 1]["name"], 0, 0, {}]]]
        if each["inbound_nodes"] != wanted:
            raise InputError("each layer must read the one before it alone", value=str(each["name"])[:80], place=place)
    ends = config["input_layers"], config["output_layers"]
    if not chain or ends != ([[chain[0]["name"], 0, 0]], [[chain[-1]["name"], 0, 0]]):
        raise InputError("a network must have one input, its first layer, and one output, its last", place=place)
    return chain


def _read_layer(root: Any, said: Mapping[str, Any], width: int, place: str) -> Layer:
    kind, config = said["class_name"], said["config"]
    where = f"{place}, {said['name']}"
    shapes, folders = _READERS[kind](config, width, where)
    weights = {
        name: _read_weights(root, f"{said['name']}/{said['name']}/{folders.get(name, name)}:0", shape, where)
        for name, shape in shapes.items()
    }
    return Layer(kind, config, weights)


Shapes = tuple[dict[str, tuple[int, ...]], dict[str, str]]
"""Shape of each weight by its short name, and where it lies if not under that name."""


def _require(config: Mapping[str, Any], rules: Mapping[str, Any], place: str) -> None:
    for key, wanted in rules.items():
        if config.get(key) != wanted:
            raise InputError(f"{key} must be {wanted}", value=str(config.get(key))[:80], place=place)


def _read_units(config: Mapping[str, Any], place: str) -> int:
    units = config["units"]
    if type(units) is not int or not 1 <= units <= MOST_UNITS:
        raise InputError(f"units must be 1..{MOST_UNITS}", value=str(units)[:40], place=place)
    return units


def _describe_bidirectional(config: Mapping[str, Any], width: int, place: str) -> Shapes:
    inner = config["layer"]
    _require(config, {"merge_mode": "concat"}, place)
    _require(inner, {"class_name": "GRU"}, place)
    _require(inner["config"], _GRU_RULES, place)
    units, name = _read_units(inner["config"], place), inner["config"]["name"]
    parts = {"kernel": (width, 3 * units), "recurrent_kernel": (units, 3 * units), "bias": (3 * units,)}
    ways = [(way, part) for way in ("forward", "backward") for part in parts]
    shapes: dict[str, tuple[int, ...]] = {f"{way}/{part}": parts[part] for way, part in ways}
    return shapes, {f"{way}/{part}": f"{way}_{name}/{part}" for way, part in ways}


def _describe_normalisation(config: Mapping[str, Any], width: int, place: str) -> Shapes:
    _require(config, {"axis": -1, "center": True, "scale": True}, place)
    return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (width,)), {}


def _describe_dense(config: Mapping[str, Any], width: int, place: str) -> Shapes:
    _require(config, {"use_bias": True}, place)
    if config["activation"] not in ACTIVATIONS:
        rule = f"activation must be one of {', '.join(ACTIVATIONS)}"
        raise InputError(rule, value=str(config["activation"])[:80], place=place)
    units = _read_units(config, place)
    return {"kernel": (width, units), "bias": (units,)}, {}


_READERS = {
    "Bidirectional": _describe_bidirectional,
    "BatchNormalization": _describe_normalisation,
    "Dense": _describe_dense,
}


def _find_width(layer: Layer, width: int) -> int:
    """Features that a layer gives."""
    match layer.kind:
        case "Bidirectional":
            return 2 * int(layer.config["layer"]["config"]["units"])
        case "Dense":
            return int(layer.config["units"])
        case _:
            return width


def _read_weights(root: Any, path: str, shape: tuple[int, ...], place: str) -> Weights:
    """Read an array that lies in the file itself, by the shape that the layer must have, so by no other size."""
    import h5py

    found = root
    for part in path.split("/"):
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise InputError("a weight must lie in the file itself", value=path[:160], place=place)
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise InputError("a weight must lie in the file itself", value=path[:160], place=place)
    if found.shape != shape or found.dtype != np.float32:
        rule = f"{path.rpartition('/')[2]} must be float32 {shape}"
        raise InputError(rule, value=f"{found.dtype} {found.shape}", place=place)
    values: Weights = found[()]
    if not np.isfinite(values).all():
        raise InputError("weights must be finite", value=path[:160], place=place)
    return values
