"""A shard's forecasts do not depend on which symbols it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.errors import ClosecastError
from include.registry.artifact import ModelVersion
from include.scoring.shard import add_market, forecast_log_returns, select_symbols
from include.scoring.universe import Universe
from include.settings import Settings
from models.catalog import build_model
from models.market import measure_market
from tests.include.backtest.cubes import build_cube, walk_bars
from tests.include.scoring.graphs import write_market_graph


def test_market_wide_columns_are_of_all_symbols_whichever_a_shard_holds(tmp_path: Path) -> None:
    names, bars, chosen = ("market_return", "cap_rank"), walk_bars(12, 20, gaps=0.1), np.arange(20) % 3 == 0
    graph = write_market_graph(tmp_path / "g.onnx", names, lookback=4)
    model = ModelVersion("daily", 1, "market_window", 4, "0" * 64, onnx=graph)
    cube = select_symbols(add_market(build_cube(bars), model), chosen)
    scored = np.arange(len(cube.symbols)) != 1
    universe = Universe(np.where(scored, "scored", "missing").astype(object), np.full(len(scored), None, dtype=object))
    found = forecast_log_returns(Settings(home=tmp_path, _env_file=None), model, cube, universe)[0][:, 0]
    np.testing.assert_array_equal(found[scored], measure_market(bars, names)[-1][chosen][scored])
    assert np.isnan(found[~scored]).all()


def test_a_model_of_windows_alone_gets_none(tmp_path: Path) -> None:
    build_model("last_close").fit(np.zeros((1, 1, 6)), np.zeros((1, 2)), seed=7, threads=1).save_onnx(tmp_path / "g")
    model = ModelVersion("daily", 1, "last_close", 1, "0" * 64, onnx=tmp_path / "g")
    cube = build_cube(walk_bars(3, 4))
    assert add_market(cube, model) is cube
    with pytest.raises(ClosecastError, match="must have its graph at hand"):
        add_market(cube, replace(model, onnx=None))
