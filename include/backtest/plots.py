"""Pictures of a backtest, by matplotlib without a display: one look for what MLflow shows and what a report shows.

Figures are made as objects and never by `pyplot`, which keeps every figure that it has made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from include.backtest.intervals import LEVELS
from include.backtest.measures import ALL, Row
from include.schema import TARGETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6b4c9a", "#8c564b")
"""The first six are those of M. Okabe and K. Ito, which the colour-blind tell apart (https://jfly.uni-koeln.de/color/,
read on 2026-11-21)."""

BASE = "last_close"
"""The model that the others are held against."""

_LINE, _TEXT, _DIM = "#d0d0d0", "#333333", "#777777"
STYLE: dict[str, Any] = {
    "axes.edgecolor": _LINE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": _TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#eeeeee",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "text.color": _TEXT,
    "xtick.color": _DIM,
    "ytick.color": _DIM,
}
"""Of matplotlib, for every picture."""

SessionErrors = npt.NDArray[np.float64]


def draw_png(figure: Figure) -> bytes:
    """Give a figure as PNG; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def plot_judgement(
    sessions: Sequence[date], errors: Mapping[str, SessionErrors], rows: Sequence[Row]
) -> dict[str, Figure]:
    """Draw what every judgement shows, by file name: errors, skill, and calibration where there are intervals.

    Parameters
    ----------
    sessions, errors
        See `plot_errors`.
    rows
        From `measure_models`.
    """
    figures = {"error_over_time": plot_errors(sessions, errors), "skill_by_volatility": plot_skill(rows)}
    if any(np.isfinite(row[f"coverage_{LEVELS[0]}"]) for row in rows):
        figures["calibration"] = plot_calibration(rows)
    return figures


def plot_learning_curve(curve: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the figures of a fit by its step: a panel a figure, that of the validation (val_...) with its own."""
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(key for figures in curve for key in figures))
    titles = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    figure, panels = _open_panels(len(titles), "Learning curve")
    for panel, title in zip(panels, titles, strict=True):
        shown = [name for name in (title, f"val_{title}") if name in names]
        for name, colour in zip(shown, _cycle(len(shown)), strict=True):
            steps = [step for step, figures in enumerate(curve, start=1) if name in figures]
            values = [figures[name] for figures in curve if name in figures]
            panel.plot(steps, values, color=colour, marker="o", markersize=3, label=name)
        _name_axes(panel, title, "step")
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if len(shown) > 1:
            panel.legend(frameon=False)
    return figure


def plot_skill(rows: Sequence[Row]) -> Figure:
    """Draw by decile of volatility how far each model's mean absolute error lies below last close's, in percent.

    Parameters
    ----------
    rows
        From `measure_models`.
    """
    figure, panels = _open_panels(len(TARGETS), "Error below last close's, by volatility known before the session")
    chosen = _select(rows, "volatility decile")
    for panel, target in zip(panels, TARGETS, strict=True):
        for model, colour in _colour_models([row["model"] for row in chosen]):
            of = [row for row in chosen if row["model"] == model and row["target"] == target]
            skill = [100 * (1 - row["relative_error"]) for row in of]
            panel.plot([int(row["group"]) for row in of], skill, color=colour, marker="o", markersize=3, label=model)
        panel.axhline(0, color=_DIM, linewidth=0.8)
        _name_axes(panel, target, "decile of volatility (10: the wildest)")
        panel.set_xticks(range(1, 11))
    panels[0].set_ylabel("% below (above 0 is better)")
    return _finish(figure, panels)


def plot_calibration(rows: Sequence[Row]) -> Figure:
    """Draw by decile of volatility which share of the actual values each interval held; a dashed line is its level.

    Parameters
    ----------
    rows
        From `measure_models`.
    """
    figure, panels = _open_panels(len(TARGETS), "Share of actual values inside the intervals")
    chosen = _select(rows, "volatility decile")
    for panel, target in zip(panels, TARGETS, strict=True):
        for model, colour in _colour_models([row["model"] for row in chosen]):
            of = [row for row in chosen if row["model"] == model and row["target"] == target]
            deciles = [int(row["group"]) for row in of]
            for level in LEVELS:
                shares = [100 * row[f"coverage_{level}"] for row in of]
                label = model if level == LEVELS[0] else None
                panel.plot(deciles, shares, color=colour, marker="o", markersize=3, label=label)
        for level in LEVELS:
            panel.axhline(level, color=_DIM, linewidth=0.8, linestyle="--")
        _name_axes(panel, target, "decile of volatility (10: the wildest)")
        panel.set_xticks(range(1, 11))
        panel.set_ylim(top=101)
    panels[0].set_ylabel("% inside")
    return _finish(figure, panels)


def plot_errors(sessions: Sequence[date], errors: Mapping[str, SessionErrors]) -> Figure:
    """Draw the mean absolute error of the log return by session.

    Parameters
    ----------
    sessions
        (n_sessions,).
    errors
        By model, (n_sessions, 2).
    """
    figure, panels = _open_panels(len(TARGETS), "Mean absolute error of the log return")
    days = np.array(sessions, dtype="datetime64[D]")
    for axis, (panel, target) in enumerate(zip(panels, TARGETS, strict=True)):
        for model, colour in _colour_models(errors):
            panel.plot(
                days, 100 * errors[model][:, axis], color=colour, marker=_choose_marker(days), markersize=3, label=model
            )
        _name_axes(panel, target, "session")
        panel.set_ylim(0, 1.05 * 100 * max(np.nanmax(values[:, axis]) for values in errors.values()))
        space_dates(panel, days)
    panels[0].set_ylabel("hundredths of log return, about %")
    return _finish(figure, panels)


def plot_ratios(sessions: Sequence[date], errors: Mapping[str, SessionErrors]) -> Figure:
    """Draw each model's error by session over last close's, which must be among them; below 1 is better."""
    figure, panels = _open_panels(len(TARGETS), "Error over last close's, by session")
    days = np.array(sessions, dtype="datetime64[D]")
    for axis, (panel, target) in enumerate(zip(panels, TARGETS, strict=True)):
        for model, colour in _colour_models(errors):
            ratio = errors[model][:, axis] / errors[BASE][:, axis]
            panel.plot(days, ratio, color=colour, marker=_choose_marker(days), markersize=3, label=model)
        _name_axes(panel, target, "session")
        space_dates(panel, days)
    return _finish(figure, panels)


def _open_panels(count: int, title: str) -> tuple[Figure, list[Axes]]:
    """Open a figure with panels side by side, four inches each."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.2 * count + 0.6, 3.2), dpi=110, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        panels = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(panels)


def _name_axes(panel: Axes, title: str, along: str) -> None:
    panel.set_title(title, loc="left", fontsize=10, color=_TEXT)
    panel.set_xlabel(along)


def _finish(figure: Figure, panels: Sequence[Axes]) -> Figure:
    """Name the lines once, to the right of the last panel, where there are several."""
    handles, labels = panels[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure


def _choose_marker(days: npt.NDArray[np.datetime64]) -> str | None:
    """Mark the sessions of a short line: a single one would not be seen."""
    return "o" if len(days) < 20 else None


def space_dates(panel: Axes, days: npt.NDArray[np.datetime64]) -> None:
    """Mark a few dates along a panel, as short as they can be."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    panel.set_xlim(days[0] - np.timedelta64(2, "D"), days[-1] + np.timedelta64(2, "D"))


def _select(rows: Sequence[Row], cohort: str) -> list[Row]:
    return [row for row in rows if row["cohort"] == cohort and row["sessions"] == ALL]


def _colour_models(names: Collection[str]) -> list[tuple[str, str]]:
    """Give each model its colour, the same in every picture of a backtest: grey for the one all are held against."""
    others = [name for name in dict.fromkeys(names) if name != BASE]
    base = [(BASE, _DIM)] if BASE in names else []
    return base + list(zip(others, _cycle(len(others)), strict=True))


def _cycle(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
