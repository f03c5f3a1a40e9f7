from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.schema import TARGETS, WINDOW_COLUMNS
from include.settings import PROJECT_ROOT
from models import protocol
from models.catalog import MODEL_NAMES, NAIVE_NAMES, build_model, list_models

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
    with pytest.raises(ValueError, match=r"must be one of last_close, .*market_window, ensemble. Received: lstm"):
        build_model("lstm")


def test_the_naive_come_first_then_the_simpler() -> None:
    naive = ("last_close", "seasonal_naive", "drift_naive")
    assert naive == NAIVE_NAMES
    assert (*naive, "linear_sgd", "ridge", "dense_window", "bigru", "market_window", "ensemble") == MODEL_NAMES


def test_what_a_file_s_text_says_is_what_its_class_says() -> None:
    assert [build_model(name).is_naive for name in MODEL_NAMES] == [name in NAIVE_NAMES for name in MODEL_NAMES]


def test_models_are_found_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("MODELS = 3\n")
    (tmp_path / "no_rank.py").write_text("MODEL = Unranked\n")
    (tmp_path / "slow.py").write_text("MODEL = Slow\nRANK = 20\n")
    (tmp_path / "fast.py").write_text("MODEL = Fast\nRANK = 3\n")
    (tmp_path / "naive.py").write_text("class N:\n    is_naive: ClassVar[bool] = True\n\nMODEL = N\nRANK = 9\n")
    assert [each.name for each in list_models(tmp_path)] == ["naive", "fast", "slow", "no_rank"]
    assert [each.is_naive for each in list_models(tmp_path)] == [True, False, False, False]


def test_the_names_cost_no_library_and_last_close_no_tensorflow() -> None:
    assert loaded_after("import models.catalog, models.metrics") == "[]"
    assert loaded_after("from models.catalog import build_model; build_model('last_close')") == "['onnx']"


def test_importing_keras_prints_nothing() -> None:
    command = [sys.executable, "-c", "import models.keras_runtime"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
