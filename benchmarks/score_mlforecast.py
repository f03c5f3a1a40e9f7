"""mlforecast beside our own score, from the same files of the lake, in an environment of its own: it takes pandas 2."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

from include.settings import Settings

PINNED = ("mlforecast==1.1.0", "pandas==2.3.3", "numpy==2.4.6", "pyarrow==26.0.1", "scikit-learn==1.9.1")
CHILD = Path(__file__).with_name("score_mlforecast_child.py")


def prepare_environment(folder: Path) -> Path | None:
    """Make the environment where it is not there yet and return its Python; None where no index can be reached."""
    python, made = folder / "bin" / "python", folder / "made.txt"
    pinned = "\n".join(PINNED)
    if made.is_file() and made.read_text() == pinned:
        return python
    venv.create(folder, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED]
    if subprocess.run(command, capture_output=True, check=False, timeout=600).returncode:
        return None
    made.write_text(pinned)
    return python


def measure_mlforecast(python: Path, settings: Settings, *, symbols: int, runs: int) -> dict[str, float]:
    """Return the seconds of read, update, predict and write: of all sessions that are looked back on, and of the newest
    alone, without and with its own state of the others loaded and saved.

    Raises
    ------
    subprocess.CalledProcessError
        It failed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), str(CHILD), str(settings.lake), str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == 2 * symbols
    return {name: statistics.median(taken) for name, taken in found.items() if name != "rows"}


def cache_folder() -> Path:
    """Return where the environment is kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (
        Path(root) / "closecast" / f"{PINNED[0].replace('==', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    )
