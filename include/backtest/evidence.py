"""What a candidate's run shows of it besides one error: pictures, metrics by cohort, how its residuals are spread."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from include.backtest.heldout import Forecasts, HeldOut
from include.backtest.measures import ALL, METRICS, Row, build_yardsticks, measure_models
from include.backtest.plots import BASE, SessionErrors, draw_png, plot_judgement, plot_learning_curve
from include.lake.bars import BarCube
from include.schema import TARGETS

QUANTILES = (0.001, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.999)
"""Of the residuals, actual - forecast in log return."""


def write_evidence(
    folder: Path,
    *,
    model: str,
    cube: BarCube,
    held: HeldOut,
    forecasts: Forecasts,
    learning_curve: Sequence[Mapping[str, float]],
    threads: int = 2,
) -> dict[str, float]:
    """Write what a candidate's run is to show into a folder.

    learning_curve.png (where something was learned), skill_by_volatility.png, calibration.png, error_over_time.png,
    metrics_by_cohort.csv (a row a target, cohort, group and span of sessions), residual_quantiles.json.

    Parameters
    ----------
    folder
        Made if need be.
    model
        Its name, as the pictures show it.
    cube, held
        The bars, and what is judged of them.
    forecasts
        float32 (n_sessions, n_symbols, 2), log returns.
    learning_curve
        `FittedModel.learning_curve`.
    threads
        For the metrics.

    Returns
    -------
    dict
        Each metric over all judged cells, as close_mase and the like; what has no value is left out. Names are such as
        MLflow takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = measure_models(build_yardsticks(cube, held), {model: forecasts}, threads=threads)
    write_metrics(folder / "metrics_by_cohort.csv", [{k: row[k] for k in row if k != "model"} for row in rows])
    (folder / "residual_quantiles.json").write_text(json.dumps(_describe_residuals(held, forecasts), indent=1) + "\n")
    errors = {BASE: measure_sessions(held, np.zeros_like(forecasts)), model: measure_sessions(held, forecasts)}
    pictures = plot_judgement(held.sessions, errors, rows)
    if learning_curve:
        pictures["learning_curve"] = plot_learning_curve(learning_curve)
    for name, figure in pictures.items():
        (folder / f"{name}.png").write_bytes(draw_png(figure))
    return _flatten(rows)


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of `measure_models` as CSV, numbers with nine digits, an empty cell where there is none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([_write_cell(value) for value in row.values()] for row in rows)


def _write_cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.9g}" if np.isfinite(value) else ""
    return str(value)


def measure_sessions(held: HeldOut, forecasts: Forecasts) -> SessionErrors:
    """Mean absolute error of each held-out session and target, float64 (n_sessions, 2); NaN where nothing is known."""
    errors = np.abs(held.actual.astype(np.float64) - forecasts)
    known = np.isfinite(errors)
    sums, counts = np.where(known, errors, 0.0).sum(axis=1), known.sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _describe_residuals(held: HeldOut, forecasts: Forecasts) -> dict[str, dict[str, float]]:
    """Count, mean, standard deviation and quantiles of actual - forecast, by target."""
    said = {}
    for axis, target in enumerate(TARGETS):
        residuals = held.actual[..., axis].astype(np.float64) - forecasts[..., axis]
        known = residuals[np.isfinite(residuals)]
        said[target] = {"count": float(known.size)}
        if known.size:
            found = zip(QUANTILES, np.quantile(known, QUANTILES), strict=True)
            said[target] |= {"mean": float(known.mean()), "standard_deviation": float(known.std())}
            said[target] |= {f"q{quantile:g}": float(value) for quantile, value in found}
    return said


def _flatten(rows: Sequence[Row]) -> dict[str, float]:
    overall = [row for row in rows if row["cohort"] == ALL and row["sessions"] == ALL]
    flat = {f"{row['target']}_{metric}": float(row[metric]) for row in overall for metric in METRICS}
    return {name: value for name, value in flat.items() if np.isfinite(value)}
