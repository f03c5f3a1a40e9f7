"""A walk-forward backtest: models fitted before each of several origins, judged on the sessions that follow it.

What a model is fitted on is cut off as an array before it is sampled, so that no window and no target at or after an
origin's first forecast session can reach the fit. Every forecast is the ONNX graph's, over the windows that a retrain
judges by (`include.backtest.heldout`). One model's windows are in memory at a time, and never all windows of a cube.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from include.backtest.heldout import Forecasts, HeldOut, forecast_held_out, hold_out
from include.backtest.windows import Cube, Windows, sample_windows
from include.errors import InputError
from include.lake.bars import MOST_MISSING, BarCube
from models.catalog import build_model
from models.market import join_market
from models.protocol import Model
from models.protocol import OnProgress as OnStep

OnProgress = Callable[[str, float, int, str], None]
"""Called as on_progress(model, origins done, origins in all, what the newest step says)."""


@dataclass(frozen=True)
class Origin:
    """A fit and what it forecasts.

    Attributes
    ----------
    cut
        Position of the first session that is forecast: whatever lies there or later is not in the fit.
    end
        Position behind the last.
    """

    cut: int
    end: int


@dataclass(frozen=True)
class OriginFit:
    """What one fit took.

    Attributes
    ----------
    holdout_from
        First session that it forecasts.
    windows
        How many it was fitted on.
    fit_seconds, forecast_seconds
        Of the fit with its sampling and export, and of the graph over its sessions.
    """

    holdout_from: date
    windows: int
    fit_seconds: float
    forecast_seconds: float


@dataclass(frozen=True)
class WalkForward:
    """What came, what each model had forecast, and what that took.

    Attributes
    ----------
    held
        The judged cells.
    forecasts
        By model, float32 (n_sessions, n_symbols, 2), log returns; NaN in a cell that is not judged.
    fits
        By model, oldest first.
    """

    held: HeldOut
    forecasts: dict[str, Forecasts]
    fits: dict[str, list[OriginFit]]


@dataclass(frozen=True)
class _Plan:
    """What every fit of a walk has in common."""

    windows: int
    seed: int
    threads: int


def split_origins(first: int, end: int, origins: int) -> list[Origin]:
    """Split sessions `first` to before `end` into blocks of one length, the earlier ones a session longer if need be.

    Raises
    ------
    InputError
        There are no sessions before the first, or fewer than origins.

    Examples
    --------
    >>> split_origins(10, 15, 2)
    [Origin(cut=10, end=13), Origin(cut=13, end=15)]
    """
    if first < 1:
        raise InputError("sessions must lie before the first that is forecast", value=first)
    if not 1 <= origins <= end - first:
        raise InputError(f"origins must be 1..{end - first}, the sessions that are forecast", value=origins)
    return [Origin(int(block[0]), int(block[-1]) + 1) for block in np.array_split(np.arange(first, end), origins)]


def sample_before(
    values: Cube, cut: int, *, lookback: int, limit: int, seed: int, market: tuple[str, ...] = ()
) -> Windows:
    """Sample windows whose target session lies before position `cut` of a cube (n_sessions, n_symbols, 6).

    The market-wide columns `market` stand behind the windows' own.
    """
    return sample_windows(
        join_market(values[:cut], market),
        lookback=lookback,
        origins=range(cut - 1),
        min_observed=max(1, lookback - MOST_MISSING),
        limit=limit,
        seed=seed,
    )


def walk_forward(
    cube: BarCube,
    *,
    names: Sequence[str],
    first: int,
    end: int | None = None,
    origins: int = 4,
    refit: bool = True,
    windows: int = 300_000,
    seed: int = 7,
    threads: int = 2,
    build: Callable[[str], Model] = build_model,
    on_progress: OnProgress | None = None,
) -> WalkForward:
    """Fit each model before each origin and forecast the sessions up to the next.

    Parameters
    ----------
    cube
        Bars; sessions before `first` are fitted on.
    names
        Models, as `build` knows them.
    first, end
        Positions of the first session that is forecast and of the one behind the last (by default all).
    origins
        Into how many blocks these sessions are split.
    refit
        False fits once, before `first`.
    windows
        Most windows of one fit, a seeded sample of those before its origin.
    seed, threads
        Of every fit; threads of ONNX Runtime too.
    build
        Gives a model before fit.
    on_progress
        See `OnProgress`.

    Raises
    ------
    InputError
        An origin has no sessions, no cell can be judged, or a model looks back too far.
    ValueError
        A model does not exist or has too few windows to fit on.
    """
    blocks = split_origins(first, len(cube.sessions) if end is None else end, origins if refit else 1)
    held = hold_out(cube, blocks[0].cut, blocks[-1].end)
    plan = _Plan(windows, seed, threads)
    walk = WalkForward(held, {}, {})
    for name in names:
        parts, fits = [], []
        for done, block in enumerate(blocks):
            tell = _scale_progress(name, done, len(blocks), on_progress)
            rows = slice(block.cut - blocks[0].cut, block.end - blocks[0].cut)
            forecasts, fit = _walk_block(cube, build(name), _take_sessions(held, rows), plan, tell)
            parts.append(forecasts)
            fits.append(fit)
        walk.forecasts[name], walk.fits[name] = np.concatenate(parts), fits
        if on_progress:
            on_progress(name, len(blocks), len(blocks), f"{sum(fit.fit_seconds for fit in fits):.1f} s to fit")
    return walk


def _walk_block(
    cube: BarCube,
    model: Model,
    held: HeldOut,
    plan: _Plan,
    tell: OnStep,
) -> tuple[Forecasts, OriginFit]:
    """Fit a model before a block of held-out sessions and run its graph over it."""
    started, cut = time.perf_counter(), held.origins.start + 1
    asked = {"lookback": model.lookback, "limit": plan.windows, "seed": plan.seed}
    seen = sample_before(cube.values, cut, **asked, market=model.market_columns)
    assert seen.targets is not None  # sample_windows always gives them
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        fitted = model.fit(seen.windows, seen.targets, seed=plan.seed, threads=plan.threads, on_progress=tell)
        fitted.save_onnx(graph)
        fit_seconds = time.perf_counter() - started
        forecasts = forecast_held_out(graph, cube, held, lookback=model.lookback, threads=plan.threads)
    return forecasts, OriginFit(held.sessions[0], len(seen), fit_seconds, time.perf_counter() - started - fit_seconds)


def _take_sessions(held: HeldOut, rows: slice) -> HeldOut:
    return HeldOut(held.origins[rows], held.sessions[rows], held.actual[rows])


def relay_progress(name: str, on_progress: OnProgress | None) -> OnStep:
    """Tell a model's own progress under its name."""

    def tell(done: int, total: int, figures: Mapping[str, float]) -> None:
        if on_progress:
            on_progress(name, done, total, _describe(figures))

    return tell


def _describe(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in figures.items())


def _scale_progress(name: str, done: int, total: int, on_progress: OnProgress | None) -> OnStep:
    """Give a model's own progress its place among the origins."""

    def tell(step: int, steps: int, figures: Mapping[str, float]) -> None:
        if on_progress:
            said = f"origin {done + 1} of {total}: {_describe(figures)}"
            on_progress(name, done + step / max(steps, 1), total, said)

    return tell
