"""Line charts as SVG, drawn by hand: sharp at any size, in the page's own colours, light or dark, and nothing to load.

Only numbers, dates and names from our own code go in, and names are escaped all the same.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np

from include.monitoring.signals import Floats

WIDTH, HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 24
_TICKS = 4
_FEW_SESSIONS = 20

_Across = Callable[[int], float]
_Up = Callable[[float], float]


def draw_chart(
    title: str, sessions: Sequence[date], lines: Mapping[str, Floats], *, marks: Mapping[str, float] | None = None
) -> str:
    """Draw lines over sessions.

    Parameters
    ----------
    title
        Read out by a screen reader; the page has its own heading.
    sessions
        (n_sessions,), oldest first, at least one.
    lines
        By name, float64 (n_sessions,); NaN leaves a gap.
    marks
        Dashed level lines by name, such as a limit.

    Returns
    -------
    str
        An svg element, and a legend below it; a sentence where there is nothing to draw.
    """
    marks = marks or {}
    known = np.concatenate([*(values[np.isfinite(values)] for values in lines.values())])
    if not len(known):
        return '<p class="empty">Nothing to draw yet.</p>'
    reached = [*known.tolist(), *marks.values()]
    ticks = choose_ticks(min(reached), max(reached))
    low, high = ticks[0], ticks[-1]

    def across(at: int) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (at + 0.5) / len(sessions), 1)

    def up(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low), 1)

    parts = [_draw_grid(tick, up(tick), step=ticks[1] - ticks[0]) for tick in ticks]
    parts += [_draw_dates(sessions, across)]
    for name, value in marks.items():
        said = html.escape(f"{name}: {value:.3g}")
        ends = f'x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up(value)}" y2="{up(value)}"'
        parts.append(f'<line class="mark" {ends}><title>{said}</title></line>')
    for number, values in enumerate(lines.values(), start=1):
        parts.append(_draw_line(number, values, across, up))
    label = html.escape(title)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return svg + _draw_legend(list(lines), list(marks))


def choose_ticks(low: float, high: float) -> list[float]:
    """Choose round values that hold two numbers between them, at least two.

    Examples
    --------
    >>> choose_ticks(0.83, 1.12)
    [0.8, 0.9, 1.0, 1.1, 1.2]
    >>> choose_ticks(1.0, 1.0)
    [0.8, 1.0, 1.2]
    """
    if high - low < 1e-9:
        pad = 0.2 * abs(high) or 1.0
        low, high = low - pad / 1.01, high + pad / 1.01
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, max(last, first + 1) + 1)]


def _draw_grid(tick: float, y: float, *, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 3.5}" text-anchor="end">{tick:.{digits}f}</text>'
    )


def _draw_dates(sessions: Sequence[date], across: _Across) -> str:
    """Name the first, the middle and the last session; the last alone where there are few."""
    last = len(sessions) - 1
    places = {0: "start", last // 2: "middle", last: "end"} if last >= 4 else {last: "end"}
    return "".join(
        f'<text x="{across(at)}" y="{HEIGHT - 6}" text-anchor="{anchor}">{sessions[at]}</text>'
        for at, anchor in places.items()
    )


def _draw_line(number: int, values: Floats, across: _Across, up: _Up) -> str:
    """Draw one line, broken where values are missing; a short one with a dot for each session."""
    known = np.isfinite(values)
    path, drawing = [], False
    for at, value in enumerate(values):
        if known[at]:
            path.append(f"{'L' if drawing else 'M'}{across(at)} {up(float(value))}")
        drawing = bool(known[at])
    dots = ""
    if known.sum() < _FEW_SESSIONS:
        places = [(across(at), up(float(values[at]))) for at in np.flatnonzero(known).tolist()]
        dots = "".join(f'<circle class="dot{number}" cx="{x}" cy="{y}" r="2.2"/>' for x, y in places)
    return f'<path class="line{number}" d="{" ".join(path)}"/>{dots}'


def _draw_legend(lines: Sequence[str], marks: Sequence[str]) -> str:
    found = [f'<span class="key{number}">{html.escape(name)}</span>' for number, name in enumerate(lines, start=1)]
    found += [f'<span class="keymark">{html.escape(", ".join(marks))}</span>'] if marks else []
    return f'<p class="legend">{"".join(found)}</p>'
