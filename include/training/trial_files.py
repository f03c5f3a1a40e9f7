"""A backtest as files: metrics.csv, forecasts.parquet, pictures, and a page that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.backtest.evidence import measure_sessions, write_metrics
from include.backtest.intervals import LEVELS
from include.backtest.measures import ALL, METRICS, Row, compute_intervals
from include.backtest.plots import BASE, draw_png, plot_judgement, plot_ratios
from include.quality.page import draw_page
from include.schema import TARGETS
from include.training.trial import TrialResult

METRICS_FILE, FORECASTS_FILE, REPORT_FILE = "metrics.csv", "forecasts.parquet", "report.html"

HEADINGS = {
    "mean_absolute_error": "MAE",
    "relative_error": "/ last close's",
    "mase": "MASE",
    "rmsse": "RMSSE",
    "smape": "sMAPE",
    "directional_accuracy": "direction",
    "bias": "bias",
    "pinball_loss": "pinball",
    **{f"coverage_{level}": f"in {level} %" for level in LEVELS},
    **{f"width_{level}": f"width {level} %" for level in LEVELS},
}
"""How each metric is headed where there is little room."""

_FORMATS = {"mean_absolute_error": ".5f", "bias": "+.5f", "pinball_loss": ".5f", "smape": ".3f"}


def write_trial(folder: Path, result: TrialResult) -> list[Path]:
    """Write everything of a backtest into a folder, which is made if need be.

    Returns
    -------
    list of Path
        The page first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(folder / METRICS_FILE, result.rows)
    _write_forecasts(folder / FORECASTS_FILE, result)
    pictures = _draw_pictures(result)
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)
    (folder / REPORT_FILE).write_text(_draw_page(result, pictures), encoding="utf-8")
    names = [REPORT_FILE, METRICS_FILE, FORECASTS_FILE, *(f"{name}.png" for name in pictures)]
    return [folder / name for name in names]


def select_overall(rows: Sequence[Row], sessions: str = ALL) -> list[Row]:
    """Select the rows that speak of all judged cells of a span of sessions."""
    return [row for row in rows if row["cohort"] == ALL and row["sessions"] == sessions]


def format_metrics(row: Row) -> list[str]:
    """Format a row's metrics in the order of METRICS; an en dash where there is none."""
    return [_format_metric(name, row[name]) for name in METRICS]


def _format_metric(name: str, value: float) -> str:
    return format(value, _FORMATS.get(name, ".4f")) if np.isfinite(value) else "–"


def _draw_pictures(result: TrialResult) -> dict[str, bytes]:
    held = result.walk.held
    errors = {name: measure_sessions(held, forecasts) for name, forecasts in result.walk.forecasts.items()}
    errors[BASE] = measure_sessions(held, np.zeros_like(held.actual))
    figures = plot_judgement(held.sessions, errors, result.rows)
    figures["ratio_over_time"] = plot_ratios(held.sessions, errors)
    return {name: draw_png(figure) for name, figure in figures.items()}


def _write_forecasts(path: Path, result: TrialResult) -> None:
    """Write a row a model, target, session and symbol, by model, target, session and symbol."""
    parts = _build_tables(result)
    first = next(parts)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)


def _build_tables(result: TrialResult) -> Iterator[pa.Table]:
    """Build a table a model and target: log returns against last_close, and the bounds of the intervals."""
    yardsticks, held = result.yardsticks, result.walk.held
    days = pa.array(np.array(held.sessions, dtype="datetime64[D]")[yardsticks.session])
    symbols = pa.DictionaryArray.from_arrays(pa.array(yardsticks.symbol.astype(np.int32)), pa.array(result.symbols))
    for name, forecasts in result.walk.forecasts.items():
        for axis, target in enumerate(TARGETS):
            lower, upper = compute_intervals(yardsticks, forecasts, axis)
            columns = {
                "model": _repeat(name, len(days)),
                "target": _repeat(target, len(days)),
                "session": days,
                "symbol": symbols,
                "last_close": pa.array(yardsticks.last_close),
                "actual": pa.array(held.actual[held.cells][:, axis]),
                "forecast": pa.array(forecasts[held.cells][:, axis]),
            }
            for position, level in enumerate(LEVELS):
                columns[f"lower_{level}"] = pa.array(lower[position])
                columns[f"upper_{level}"] = pa.array(upper[position])
            yield pa.table(columns)


def _repeat(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([text]))


def _draw_page(result: TrialResult, pictures: dict[str, bytes]) -> str:
    spans = list(dict.fromkeys(row["sessions"] for row in result.rows))
    return draw_page(
        "include.training",
        "trial.j2",
        result=result,
        headings=[HEADINGS[name] for name in METRICS],
        spans=[(span, [(row, format_metrics(row)) for row in select_overall(result.rows, span)]) for span in spans],
        cohorts=_pivot_cohorts(result),
        pictures=[(name.replace("_", " "), base64.b64encode(picture).decode()) for name, picture in pictures.items()],
    )


def _pivot_cohorts(result: TrialResult) -> list[tuple[str, list[str], list[list[str]]]]:
    """Give each cohort a table of relative errors, a row a model and target and a column a group."""
    tables = []
    for cohort in result.yardsticks.cohorts[1:]:
        rows = [row for row in result.rows if row["cohort"] == cohort.name and row["sessions"] == ALL]
        groups = [label for label in cohort.labels if any(row["group"] == label for row in rows)]
        found = {(row["model"], row["target"], row["group"]): row["relative_error"] for row in rows}
        body = []
        for model, target in dict.fromkeys((row["model"], row["target"]) for row in rows):
            errors = [found.get((model, target, group), float("nan")) for group in groups]
            body.append([model, target, *(_format_metric("relative_error", error) for error in errors)])
        if body:
            tables.append((cohort.name, groups, body))
    return tables
