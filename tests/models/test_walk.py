"""docs/models.md walks through a model in one file; here the walk is gone, in a copy of the models' folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT
from models.catalog import MODEL_NAMES

pytestmark = pytest.mark.slow

WALK = """
import json
from pathlib import Path
import numpy as np
import onnxruntime
from models.catalog import MODEL_NAMES, build_model

prices = np.exp(np.random.default_rng(3).normal(0, 0.02, (400, 12)).cumsum(axis=1)).astype(np.float32)
bars = np.stack([prices[:, :-1], prices[:, 1:] * 1.05, prices[:, :-1] * 0.95, prices[:, 1:]] + 2 * [prices[:, 1:]], -1)
windows, targets = bars[:, :10], np.log(bars[:, 10, (0, 3)] / bars[:, 9, 3, None]) + 0.01
model = build_model("conv_window")
fitted = model.fit(windows, targets, seed=7, threads=2)
fitted.save_onnx(Path("model.onnx"))
fitted.save_original(Path("."))
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
(forecast,) = session.run(["log_return"], {"window": windows})
print(json.dumps({
    "names": MODEL_NAMES,
    "lookback": model.lookback,
    "apart": float(np.abs(forecast - fitted.predict(windows)).max()),
    "largest": float(np.abs(forecast).max()),
    "losses": [figures["loss"] for figures in fitted.learning_curve],
}))
"""


def test_a_model_is_added_by_the_file_that_the_page_gives(tmp_path: Path) -> None:
    page = (PROJECT_ROOT / "docs" / "models.md").read_text()
    walk = page.partition("\n## A model in one file\n")[2].partition("\n## ")[0]
    file = re.search(r"Save this as `(\w+\.py)`", walk)
    code = re.search(r"^```python\n(.*?)^```", walk, re.DOTALL | re.MULTILINE)
    assert file
    assert code
    shutil.copytree(PROJECT_ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "models" / file[1]).write_text(code[1])
    command = [sys.executable, "-c", WALK]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    place = MODEL_NAMES.index("bigru")  # its rank is between dense_window's and bigru's
    assert said["names"] == [*MODEL_NAMES[:place], "conv_window", *MODEL_NAMES[place:]]
    assert said["lookback"] == 10
    assert said["apart"] < 1e-5 < 1e-3 < said["largest"]
    assert said["losses"][-1] < said["losses"][0]
    assert (tmp_path / "conv_window.keras").stat().st_size > 1000
