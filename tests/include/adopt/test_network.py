"""Which rule a network's file breaks: its form, its layers, their settings, where its weights lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from include.adopt import network
from include.adopt.network import read_network
from include.errors import InputError
from tests.include.adopt.files import make_config, make_weights, write_network

KERNEL = "model_weights/first/first/kernel:0"


def test_layers_and_weights_are_as_they_were_written(tmp_path: Path) -> None:
    found = read_network(write_network(tmp_path / "m.h5"))
    assert found.input_shape == (5, 13)
    assert [layer.kind for layer in found.layers] == ["Bidirectional", "BatchNormalization", "Dense", "Dense"]
    assert (found.layers[0].weights["backward/bias"] == make_weights()["bi/bi/backward_gru/bias:0"]).all()


def layer(config: Any, name: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["name"] == name)


def gru(config: Any) -> Any:
    return layer(config, "bi")["config"]["layer"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: layer(c, "drop").update(class_name="Lambda"), r"must be of Input.*: Lambda \(drop"),
        (lambda c: c.update(class_name="Sequential"), "must be a Keras Model. Received: Sequential"),
        (lambda c: gru(c).update(class_name="LSTM"), "class_name must be GRU. Received: LSTM"),
        (lambda c: gru(c)["config"].update(reset_after=True), "reset_after must be False. Received: True"),
        (lambda c: gru(c)["config"].update(recurrent_activation="sigmoid"), "must be hard_sigmoid. Received: sigmoid"),
        (lambda c: gru(c)["config"].update(go_backwards=True), "go_backwards must be False"),
        (lambda c: gru(c)["config"].update(units=10**9), "units must be 1..1024. Received: 1000000000"),
        (lambda c: gru(c)["config"].update(units=5), r"must be float32 \(13, 15\)\. Received: float32 \(13, 12\)"),
        (lambda c: layer(c, "bi")["config"].update(merge_mode="sum"), "merge_mode must be concat. Received: sum"),
        (lambda c: layer(c, "norm")["config"].update(axis=1), "axis must be -1. Received: 1"),
        (lambda c: layer(c, "first")["config"].update(activation="evil"), "activation must be one of .*Received: evil"),
        (lambda c: layer(c, "first").update(inbound_nodes=[[["bi", 0, 0, {}]]]), "read the one before it alone"),
        (lambda c: c["config"].update(output_layers=[["first", 0, 0]]), "one input, its first layer, and one output"),
        (lambda c: layer(c, "in")["config"].update(batch_input_shape=[None, 13]), "begin with an input"),
        (lambda c: layer(c, "second").update(name="../bi"), "must"),
        (lambda c: c.pop("config"), "must be an HDF5 file that Keras 2 saved whole"),
    ],
)  # fmt: skip
def test_a_network_that_breaks_a_rule_is_refused(tmp_path: Path, change: Callable[[Any], object], said: str) -> None:
    config = make_config()
    change(config)
    with pytest.raises(InputError, match=said):
        read_network(write_network(tmp_path / "m.h5", config))


def test_a_network_of_keras_3_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written by Keras 2\.2\.x or 2\.3\.x\. Received: 3\.15\.1"):
        read_network(write_network(tmp_path / "m.h5", version="3.15.1"))


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"PK\x03\x04 a .keras archive")
    with pytest.raises(InputError, match="must be an HDF5 file that Keras 2 saved whole"):
        read_network(tmp_path / "m.h5")


def link_elsewhere(file: h5py.File, other: Path) -> None:
    file[KERNEL] = h5py.ExternalLink(str(other), KERNEL)


def link_softly(file: h5py.File, other: Path) -> None:
    file[KERNEL] = h5py.SoftLink("/model_weights/second/second/kernel:0")


def map_elsewhere(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((8, 3), "f4")
    layout[:] = h5py.VirtualSource(str(other), KERNEL, (8, 3), "f4")
    file.create_virtual_dataset(KERNEL, layout)


def store_elsewhere(file: h5py.File, other: Path) -> None:
    file.create_dataset(KERNEL, (8, 3), "f4", external=[(str(other), 0, 96)])


def leave_out(file: h5py.File, other: Path) -> None:
    """The weight is not there at all."""


@pytest.mark.parametrize("place", [link_elsewhere, link_softly, map_elsewhere, store_elsewhere, leave_out])
def test_weights_that_lie_elsewhere_are_refused(tmp_path: Path, place: Callable[[h5py.File, Path], None]) -> None:
    other, path = write_network(tmp_path / "other.h5"), write_network(tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        del file[KERNEL]
        place(file, other)
    with pytest.raises(InputError, match="a weight must lie in the file itself. Received: first/first/kernel:0"):
        read_network(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file[KERNEL][0, 0] = np.inf
    with pytest.raises(InputError, match="weights must be finite"):
        read_network(path)


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="must not be larger than 100 bytes"):
        read_network(write_network(tmp_path / "m.h5"))
