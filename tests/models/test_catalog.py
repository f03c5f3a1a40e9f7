from __future__ import annotations

import subprocess
import sys

import pytest

from include.schema import TARGETS, WINDOW_COLUMNS
from include.settings import PROJECT_ROOT
from models import protocol
from models.catalog import MODEL_NAMES, build_model

_LOADED = "import sys; {code}; print([n for n in ('tensorflow', 'keras', 'sklearn', 'onnx') if n in sys.modules])"


def loaded_after(code: str) -> str:
    command = [sys.executable, "-c", _LOADED.format(code=code)]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_artifact_s_columns_are_those_of_the_tables() -> None:
    assert protocol.WINDOW_COLUMNS == WINDOW_COLUMNS
    assert protocol.TARGETS == TARGETS


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_model_is_built_under_its_own_name(name: str) -> None:
    model = build_model(name)
    assert model.name == name
    assert model.lookback == model.hyperparameters.lookback


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"must be one of last_close, ridge, bigru. Received: lstm"):
        build_model("lstm")


def test_the_names_cost_no_library_and_last_close_no_tensorflow() -> None:
    assert loaded_after("import models.catalog, models.metrics") == "[]"
    assert loaded_after("from models.catalog import build_model; build_model('last_close')") == "['onnx']"


def test_importing_keras_prints_nothing() -> None:
    command = [sys.executable, "-c", "import models.keras_runtime"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
