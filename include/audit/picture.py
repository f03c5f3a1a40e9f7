"""A forecast as a picture: the closes before it, the intervals, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from include.audit.explain import Explanation
from include.backtest.plots import COLOURS, STYLE, draw_png, space_dates
from include.console import show_controls
from include.lake.asof import read_rows
from include.lake.bars import open_bars, sessions_up_to
from include.lake.identity_file import load_kept_changes
from include.schema import TARGETS
from include.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HISTORY_SESSIONS = 60
_GREY = "#777777"


def draw_picture(settings: Settings, found: Explanation) -> bytes:
    """Draw an explanation as PNG: a panel for the open and one for the close.

    Raises
    ------
    NotFoundError
        The bars of the run's version are not kept any more.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    history = read_history(settings, found)
    with rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.6), dpi=110, layout="constrained")
        title = f"{show_controls(found.symbol)}: forecast of {found.run.as_of}".replace("$", r"\$")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for panel, target in zip(figure.subplots(1, len(TARGETS), sharey=True), TARGETS, strict=True):
            _draw_target(panel, found, history, target)
    return draw_png(figure)


def read_history(settings: Settings, found: Explanation) -> list[tuple[date, float]]:
    """Read the closes up to a forecast's session, by its run's version of bars."""
    run = found.run
    bars = open_bars(settings.lake, version=run.bars_version)
    sessions = sessions_up_to(bars, run.as_of, count=HISTORY_SESSIONS)
    changes = load_kept_changes(settings, run.reference_version)
    rows = read_rows(
        bars, sessions, ["session", "close"], symbols=[found.symbol], changes=changes, as_of=run.as_of
    ).sort_by("session")
    return list(zip(rows["session"].to_pylist(), rows["close"].to_pylist(), strict=True))


def _draw_target(panel: Axes, found: Explanation, history: Sequence[tuple[date, float]], target: str) -> None:
    rows = [row for row in found.forecasts if row["target"] == target and row["predicted"] is not None]
    days = np.array([day for day, _ in history], dtype="datetime64[D]")
    panel.plot(days, [close for _, close in history], color=_GREY, label="close")
    ahead = np.array([row["target_session"] for row in rows], dtype="datetime64[D]")
    for level, width in ((95, 2.0), (80, 5.0)):
        _draw_interval(panel, rows, level, width)
    panel.plot(ahead, [row["predicted"] for row in rows], "o", color=COLOURS[0], markersize=5, label="forecast")
    came = [row for row in found.outcomes if row["target"] == target]
    then = np.array([row["target_session"] for row in came], dtype="datetime64[D]")
    if came:
        panel.plot(then, [row["actual"] for row in came], "X", color=COLOURS[1], markersize=7, label="came true")
    panel.set_title(target, loc="left", fontsize=10)
    shown = np.concatenate([days, ahead])
    if len(shown):
        space_dates(panel, shown)
        panel.legend(loc="best", fontsize=8)


def _draw_interval(panel: Axes, rows: Sequence[Mapping[str, Any]], level: int, width: float) -> None:
    known = [row for row in rows if row[f"lower_{level}"] is not None and row[f"upper_{level}"] is not None]
    if known:
        days = np.array([row["target_session"] for row in known], dtype="datetime64[D]")
        bounds = [[row[f"{side}_{level}"] for row in known] for side in ("lower", "upper")]
        panel.vlines(days, *bounds, color=COLOURS[4], linewidth=width, label=f"{level} %")
