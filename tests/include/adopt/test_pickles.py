"""A pickle is read as data: what it may hold is read as it was, and what it may not is named and never runs."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.adopt import pickles
from include.adopt.pickles import read_pickle
from include.adopt.sklearn_pickles import SKLEARN_0_20
from include.errors import InputError
from tests.include.adopt.files import make_scalers, write_scalers

SENTINEL = "it-ran"
DTYPE = b"cnumpy\ndtype\n"
F8 = DTYPE + b"X\x02\x00\x00\x00f8K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85C\x01b\x87R"
SCALER = b"csklearn.preprocessing.data\nStandardScaler\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


class Runs:
    """Pickled as a call."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


TOUCH = f"touch {SENTINEL}"
MADE = {
    "posix.system": Runs(os.system, TOUCH),
    "subprocess.Popen": Runs(subprocess.Popen, ["touch", SENTINEL]),
    "builtins.eval": Runs(eval, f"open('{SENTINEL}', 'w')"),
    "builtins.exec": Runs(exec, f"open('{SENTINEL}', 'w')"),
    "builtins.getattr": Runs(getattr, Runs(__import__, "os"), "system"),
    "builtins.__import__": Runs(builtins.__import__, "antigravity"),
    "_io.open": Runs(io.open, SENTINEL, "w"),
    "_pickle.loads": Runs(pickle.loads, pickle.dumps(Runs(os.system, TOUCH))),
    "numpy.load": Runs(np.load, SENTINEL),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", MADE)
def test_a_call_is_named_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    found = refuse(tmp_path, monkeypatch, pickle.dumps(MADE[name], protocol))
    # the module has another name in the older protocols
    assert re.search(rf"Received: \w+\.{name.partition('.')[2]} \(in scaler.pkl, byte \d+\)", str(found))


def refuse(folder: Path, monkeypatch: pytest.MonkeyPatch, payload: bytes) -> InputError:
    """Read a payload in a folder where it would leave a trace; return what was said of it."""
    monkeypatch.chdir(folder)
    (folder / "scaler.pkl").write_bytes(payload)
    before = set(sys.modules)
    with pytest.raises(InputError) as raised:
        read_pickle(folder / "scaler.pkl", SKLEARN_0_20)
    assert not (folder / SENTINEL).exists()
    assert set(sys.modules) <= before
    return raised.value


def test_the_same_payload_does_run_when_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(MADE["posix.system"]))
    assert (tmp_path / SENTINEL).exists()


WRITTEN = {
    "os.system, byte 0": b"cos\nsystem\n(S'" + TOUCH.encode() + b"'\ntR.",
    "antigravity.x": b"cantigravity\nx\n.",
    "numpy.f2py.crackfortran.getlincoef": b"cnumpy.f2py.crackfortran\ngetlincoef\n" + text("1") + b"}\x86R.",
    "joblib.numpy_pickle.NumpyArrayWrapper": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81.",
    "sklearn.preprocessing._data.StandardScaler": b"csklearn.preprocessing._data\nStandardScaler\n)\x81.",
    "sklearn.externals.joblib.load": b"csklearn.externals.joblib\nload\n.",
    "copyreg._reconstructor": b"ccopyreg\n_reconstructor\n.",
    "functools.partial": b"cfunctools\npartial\n.",
    "numpy._core.multiarray._reconstruct": RECONSTRUCT.replace(b".core.", b"._core.") + b".",
    "numpy.ndarray.__reduce__": b"\x80\x04" + text("numpy") + text("ndarray.__reduce__") + b"\x93.",
    "posix.system, byte": b"\x80\x04" + text("posix") + b"\x94" + text("system") + b"\x94h\x00h\x01\x93.",
    "a class whose name is not text": b"\x80\x04K\x01K\x02\x93.",
    "opcode EXT1": b"\x82\x01.",
    "opcode EXT2": b"\x83\x01\x00.",
    "opcode EXT4": b"\x84\x01\x00\x00\x00.",
    "opcode PERSID": b"Pos.system\n.",
    "opcode BINPERSID": text("os.system") + b"Q.",
    "os.system, byte 3": b"(K\x01ios\nsystem\n.",
    "a call of sklearn.preprocessing.data.StandardScaler, byte": b"(i" + SCALER[1:] + b".",
    "opcode OBJ": b"(" + SCALER + b"o.",
    "opcode NEWOBJ_EX": b"\x80\x04" + SCALER + b")}\x92.",
    "opcode NEXT_BUFFER": b"\x97.",
    "opcode DUP": b"}2.",
    "a call of sklearn.preprocessing.data.StandardScaler": SCALER + b")R.",
    "a StandardScaler made with arguments": SCALER + b"K\x01\x85\x81.",
    "a state of a StandardScaler that is no dict": SCALER + b")\x81K\x01b.",
    "a state for a dict": b"}}b.",
    "a state for a Named": SCALER + b"}b.",
    "a call of a str": text("os.system") + text(TOUCH) + b"\x85R.",
    "a call of numpy.ndarray": b"cnumpy\nndarray\n)R.",
    "_reconstruct of other than numpy.ndarray": RECONSTRUCT + SCALER + b"K\x00\x85C\x01b\x87R.",
    "numpy.dtype of other than f8 and i8": DTYPE + text("O") + b"K\x00K\x01\x87R.",
    "an array of other than float64": ARRAY + b"(K\x01K\x01\x85" + DTYPE + b"\x89]K\x01atb.",
    "an array of 1 numbers that should be": ARRAY
    + b"(K\x01J\xff\xff\xff\x7f\x85"
    + F8
    + b"\x89C\x08"
    + b"0" * 8
    + b"tb.",
    "numpy.dtype of other than little-endian": F8.replace(b"<", b">") + b".",
    "a dict whose keys are not text": b"}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
    "a value appended to what is no list": b"}K\x01a.",
    "takes a value where there is none": b"(b.",
    "takes a mark where there is none": b"t.",
    "values left over": b"}}.",
    "bytes behind the end": b"}.cos\nsystem\n.",
    "more than 20,000 values at once": b"(" * 30_000 + b".",
}


@pytest.mark.parametrize("said", WRITTEN)
def test_what_is_not_admitted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    assert said in str(refuse(tmp_path, monkeypatch, WRITTEN[said])).replace(" (in scaler.pkl", "")


BROKEN = {
    "empty": b"",
    "no pickle": b"\x89HDF\r\n",
    "cut short": b"}X\xff\x00\x00\x00abc",
    "a length of 4 GB": b"B\xff\xff\xff\xffabc.",
    "no such memo": b"h\x07.",
    "another language": b"c\xff\xfe\nx\n.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_whole_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert "a pickle must be whole" in str(refuse(tmp_path, monkeypatch, BROKEN[name]))


def test_a_payload_among_honest_scalers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = write_scalers(tmp_path / "honest.pkl").read_bytes()
    payload = honest[:-2] + text("AAA") + b"cos\nsystem\n" + text(TOUCH) + b"\x85Rsu."
    said = str(refuse(tmp_path, monkeypatch, payload))
    assert f"os.system (in scaler.pkl, byte {len(honest) - 2 + len(text('AAA'))})" in said


def test_lists_nested_without_end_are_read_without_recursion(tmp_path: Path) -> None:
    (tmp_path / "deep.pkl").write_bytes(b"]" + b"\x85" * 300_000 + b".")
    assert isinstance(read_pickle(tmp_path / "deep.pkl", SKLEARN_0_20), tuple)


def test_a_file_that_makes_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_MOST_OBJECTS", 1000)
    payload = b"](" + b"}" * 900 + b"e" + b"(" + b"}" * 900 + b"e."
    assert "1,000 in all" in str(refuse(tmp_path, monkeypatch, payload))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.pkl").open("wb") as file:
        file.truncate(pickles.MOST_BYTES + 1)
    with pytest.raises(InputError, match=r"not be larger than 33,554,432 bytes\. Received: 33,554,433"):
        read_pickle(tmp_path / "large.pkl", SKLEARN_0_20)


def test_scalers_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = make_scalers()
    found = read_pickle(write_scalers(tmp_path / "s.pkl", written), SKLEARN_0_20)
    assert found["model_hypers"] == written["model_hypers"]
    assert found.keys() == written.keys()
    scaler, kept = found["BBB"]["v_open"], written["BBB"]["v_open"]
    assert scaler.state["mean_"].value.tolist() == kept.mean_.tolist()
    assert scaler.state["n_samples_seen_"] == 100
    assert type(scaler.state["n_samples_seen_"]) is int


@given(st.data())
def test_no_bytes_do_more_than_be_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = write_scalers(tmp_path_factory.getbasetemp() / "drawn.pkl", {"A": 1.5, "B": [np.float64(2.0)]})
    honest = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(honest) - 1), min_size=1, max_size=4)):
        honest[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(honest))
    with suppress(InputError):
        read_pickle(path, SKLEARN_0_20)
