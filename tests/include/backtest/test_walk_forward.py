"""A walk-forward backtest: what is fitted on ends before what is forecast, for every origin; peeking is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from include.backtest import walk_forward as module
from include.backtest.walk_forward import Origin, WalkForward, split_origins, walk_forward
from include.errors import InputError
from models.catalog import build_model
from models.last_close import LastClose
from models.protocol import Model
from tests.include.backtest.cubes import build_cube, walk_bars

FIRST, SESSIONS = 40, 52
BLOCKS = split_origins(FIRST, SESSIONS, 2)


def walk(values: np.ndarray, build: Callable[[str], Model] = build_model, **wanted) -> WalkForward:
    asked = {"names": ["model"], "first": FIRST, "origins": 2, "windows": 500, "threads": 1, "build": build} | wanted
    return walk_forward(build_cube(values), **asked)


def spoil(values: np.ndarray, cut: int) -> np.ndarray:
    """Write noise over every session from `cut` on."""
    noisy = values.copy()
    noisy[cut:] *= np.random.default_rng(9).lognormal(sigma=0.3, size=noisy[cut:].shape[:2])[..., None]
    return noisy


class Recorder(LastClose):
    """The last close, which keeps what each fit was given."""

    def __init__(self) -> None:
        super().__init__()
        self.fits: list[tuple[np.ndarray, np.ndarray]] = []

    def fit(self, windows, targets, **wanted):
        self.fits.append((windows, targets))
        return super().fit(windows, targets, **wanted)


def test_blocks_cover_the_sessions_once() -> None:
    assert [Origin(40, 46), Origin(46, 52)] == BLOCKS
    with pytest.raises(InputError, match=r"origins must be 1\.\.3, the sessions that are forecast\. Received: 4"):
        split_origins(10, 13, 4)
    with pytest.raises(InputError, match=r"sessions must lie before the first that is forecast\. Received: 0"):
        split_origins(0, 13, 4)


def test_no_fit_is_given_a_target_at_or_after_its_cut() -> None:
    values = walk_bars(SESSIONS, 5)
    # Every bar of session k is worth e^(k²): the last close says where a window ends, its target where that lies.
    values[..., :4] = np.exp(np.arange(SESSIONS, dtype=np.float64) ** 2 / 100)[:, None, None]
    model = Recorder()
    walk(values, lambda _: model, windows=10_000)
    for block, (windows, targets) in zip(BLOCKS, model.fits, strict=True):
        ends = np.sqrt(100 * np.log(windows[:, -1, 3].astype(np.float64)))
        following = np.sqrt(ends**2 + 100 * targets[:, 1])
        assert np.round(following.max()) == block.cut - 1
        assert len(windows) == (block.cut - 1) * 5


def test_without_refit_there_is_one_fit_before_the_first_cut() -> None:
    model = Recorder()
    found = walk(walk_bars(SESSIONS, 5), lambda _: model, refit=False, windows=10_000)
    assert [len(windows) for windows, _ in model.fits] == [(FIRST - 1) * 5]
    assert found.forecasts["model"].shape == (SESSIONS - FIRST, 5, 2)
    assert found.fits["model"][0].windows == (FIRST - 1) * 5


VALUES = walk_bars(SESSIONS, 30, gaps=0.02)


@cache
def walk_ridge(noise_from: int | None = None) -> np.ndarray:
    """Forecasts of ridge on VALUES, or with noise over everything from a session on."""
    values = VALUES if noise_from is None else spoil(VALUES, noise_from)
    return walk(values, names=["ridge"], build=build_model).forecasts["ridge"]


def up_to(cut: int, forecasts: np.ndarray) -> np.ndarray:
    """Give the forecasts of session `cut` and of those before it: what was known then is all that they may use."""
    return forecasts[: cut - FIRST + 1]


@pytest.mark.parametrize("cut", [BLOCKS[1].cut, BLOCKS[1].cut + 3])
def test_noise_after_a_cut_leaves_the_forecasts_before_it_unchanged(cut: int) -> None:
    np.testing.assert_array_equal(up_to(cut, walk_ridge()), up_to(cut, walk_ridge(cut)))


def test_noise_after_a_cut_changes_the_forecasts_after_it() -> None:
    cut = BLOCKS[1].cut
    before, after = (each[cut + 1 - FIRST :] for each in (walk_ridge(), walk_ridge(cut)))
    known = np.isfinite(before)
    assert (before[known] != after[known]).mean() > 0.99


class MeanReturn(LastClose):
    """Forecasts the mean of the targets that it was fitted on, for every symbol and both targets."""

    def fit(self, windows, targets, **wanted):
        self.mean = float(targets.mean())
        return self

    def save_onnx(self, path: Path) -> None:
        super().fit(None, None, seed=0, threads=1).save_onnx(path)
        graph = onnx.load(path)
        value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [self.mean])
        graph.graph.node[-1].attribute.append(onnx.helper.make_attribute("value", value))
        onnx.save(graph, path)


def is_blind(cut: int) -> bool:
    """Whether a model fitted in a walk knows nothing of the noise that begins with its block."""
    before, after = (walk(each, lambda _: MeanReturn()).forecasts["model"] for each in (VALUES, spoil(VALUES, cut)))
    return np.array_equal(up_to(cut, before), up_to(cut, after), equal_nan=True)


def test_a_model_that_sees_the_future_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that ends a session too late is told by the same look at the forecasts."""
    whole, cut = module.sample_before, BLOCKS[1].cut
    assert is_blind(cut)
    monkeypatch.setattr(module, "sample_before", lambda bars, cut, **wanted: whole(bars, cut + 1, **wanted))
    assert not is_blind(cut)


def test_the_same_seed_gives_the_same_forecasts_whatever_else_is_walked() -> None:
    both = walk(VALUES, names=["last_close", "ridge"], build=build_model)
    np.testing.assert_array_equal(walk_ridge(), both.forecasts["ridge"])
    assert [fit.windows for fit in both.fits["ridge"]] == [500, 500]


def test_progress_ends_with_the_walk() -> None:
    told: list[tuple[str, float, int, str]] = []
    walk(VALUES, names=["ridge"], build=build_model, on_progress=lambda *said: told.append(said), refit=False)
    done = [each[1] for each in told]
    assert done == sorted(done)
    assert told[-1][:3] == ("ridge", 1, 1)
