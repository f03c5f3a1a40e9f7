"""The graph of a small network, made once, and the files of the model that a team has handed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.adopt.adopt import Files
from include.adopt.crypto_open import COLUMNS, build_graph
from include.adopt.network import read_network
from include.adopt.scalers import read_scalers
from include.scoring.graph import load_graph
from tests.include.adopt.files import make_scalers, write_network, write_scalers


@dataclass(frozen=True)
class Small:
    """Files, the graph, and the scalers as they were before they were written."""

    files: Files
    path: Path
    graph: Any
    scalers: dict[str, Any]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    files = Files(write_network(folder / "team.h5"), write_scalers(folder / "team.pkl"))
    model = build_graph(read_network(files.model), read_scalers(files.scaler, COLUMNS))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    return Small(files, path, load_graph(path, threads=1), make_scalers())


@pytest.fixture(scope="session")
def seeds(shared_data: Path) -> Path:
    """A team's real model: model.h5, scaler.pkl, upload.csv and what the original software made of it."""
    return shared_data / "seeds" / "001"
