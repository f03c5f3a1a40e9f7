"""The page of a session: what its forecasts were worth beside the last close, coverage, drift, symbols, data quality.

One HTML file without script or request. Names come from other people's uploads: they are escaped, and characters that
cannot be seen are written out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from include.errors import NotFoundError
from include.files import write_atomically
from include.lake.catalog import find_committed
from include.lake.quarantine import QuarantineFilter, count_quarantine, read_quarantine
from include.lake.reads import read_where
from include.lake.restatements import describe_cell
from include.lake.tables import RESTATEMENTS
from include.monitoring.breaches import WATCHED_SESSIONS, Breach, find_limit
from include.monitoring.chart import draw_chart
from include.monitoring.messages import describe_began
from include.monitoring.signals import INPUTS, Signals
from include.monitoring.skill import Skill, SkillReport, read_skill, settled_sessions
from include.monitoring.watch import read_breaches, read_signals
from include.quality.page import draw_page
from include.quality.reference import find_reference
from include.quality.results import ExpectationResult, read_report
from include.schema import LEVELS, TARGETS
from include.settings import Settings

INPUT_SESSIONS = 30
"""Newest sessions whose bars are held against the model's reference."""

WORST_SYMBOLS = 15
_SYMBOL_SESSIONS = 30
_FEWEST_FORECASTS = 5
_SHOWN_CELLS = 10
_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.html")


@dataclass(frozen=True)
class Quality:
    """What is known of a session's data: failed expectations (None: never validated), refused rows, changed cells."""

    checked: int
    failed: list[ExpectationResult] | None
    quarantined: list[dict[str, Any]]
    restated: int
    restated_symbols: int
    cells: list[str]


@dataclass(frozen=True)
class SessionReport:
    """What the page of a session shows."""

    session: date
    skill: SkillReport
    worst: list[Skill]
    signals: Signals | None
    breaches: list[Breach]
    inputs: str
    quality: Quality


def list_reports(settings: Settings) -> list[date]:
    """Return the sessions that have a page, oldest first; other files are not looked at."""
    names = sorted(path.name for path in settings.reports.iterdir()) if settings.reports.is_dir() else []
    return [date.fromisoformat(name[:10]) for name in names if _NAME.fullmatch(name)]


def report_path(settings: Settings, session: date) -> Path:
    """Return where a session's page is or will be."""
    return settings.reports / f"{session}.html"


def write_report(settings: Settings, session: date) -> Path:
    """Write the page of a session that has bars or outcomes, in place of an earlier one."""
    path = report_path(settings, session)
    write_atomically(path, draw_report(read_session(settings, session)))
    return path


def read_session(settings: Settings, session: date) -> SessionReport:
    """Read what the page of a session shows, as far as it is there."""
    days = settled_sessions(settings, through=session)[-WATCHED_SESSIONS:]
    signals, inputs = None, ""
    if days:
        reference = find_reference(settings)
        inputs = reference if isinstance(reference, str) else ""
        signals = read_signals(settings, days, reference, newest=INPUT_SESSIONS)
    known = [each for each in read_breaches(settings) if each.began <= session]
    return SessionReport(
        session,
        read_skill(settings, sessions=WATCHED_SESSIONS, through=session),
        _find_worst(settings, session),
        signals,
        [each for each in known if each.ended is None or each.ended > session],
        inputs,
        _read_quality(settings, session),
    )


def _find_worst(settings: Settings, session: date) -> list[Skill]:
    """Find the symbols whose closes lost most against the last close, in error and not in ratio: some hardly move."""
    found = read_skill(settings, by="symbol", sessions=_SYMBOL_SESSIONS, through=session).rows
    lost = [row for row in found if row.target == TARGETS[-1] and row.forecasts >= _FEWEST_FORECASTS]
    return [row for row in lost if row.mean_absolute_error > row.last_close_error][:WORST_SYMBOLS]


def _read_quality(settings: Settings, session: date) -> Quality:
    wanted = QuarantineFilter(first_session=session, last_session=session, with_resolved=True)
    refused = count_quarantine(read_quarantine(settings.lake, wanted))
    table = find_committed(settings.lake, RESTATEMENTS)
    cells = read_where(table, "session", session, session) if table else RESTATEMENTS.schema.empty_table()
    shown = cells.sort_by([("symbol", "ascending"), ("column", "ascending")]).slice(0, _SHOWN_CELLS)
    try:
        report = read_report(settings.lake, session)
        checked, failed = len(report.results), report.failed
    except NotFoundError:
        checked, failed = 0, None
    symbols = int(pc.count_distinct(cells["symbol"]).as_py()) if cells.num_rows else 0
    return Quality(checked, failed, refused, cells.num_rows, symbols, [describe_cell(row) for row in shown.to_pylist()])


def draw_report(report: SessionReport) -> str:
    """Draw the page."""
    return draw_page(
        "include.monitoring",
        "session_report.j2",
        filters={"figure": _format_figure, "percent": _format_percent},
        report=report,
        spans=_group_spans(report.skill.rows),
        charts=_draw_charts(report.signals) if report.signals else [],
        breaches=[describe_began(each) for each in report.breaches],
    )


def _group_spans(rows: Sequence[Skill]) -> list[tuple[str, list[Skill]]]:
    groups = list(dict.fromkeys(row.group for row in rows))
    return [(group, [row for row in rows if row.group == group]) for group in groups]


def _draw_charts(signals: Signals) -> list[tuple[str, str, str]]:
    """Draw each picture: its heading, a sentence, and the chart."""
    days, values = signals.sessions, signals.values
    skill = {target: values[f"skill_{target}"] for target in TARGETS}
    drawn = [
        ("Error over the last close's", "Below the dashed line the forecasts were better.", skill, {"last close": 1.0}),
        (
            "Correlation of forecasts with what came",
            "Over the symbols, the market's own move taken out.",
            {target: -values[f"correlation_{target}"] for target in TARGETS},
            {"no correlation": 0.0},
        ),
    ]
    drawn += [
        (
            f"Inside the {level} % intervals",
            "Share of actual values.",
            {target: level / 100 - values[f"coverage_{level}_{target}"] for target in TARGETS},
            {"promised": level / 100},
        )
        for level in LEVELS
    ]
    drawn += [
        (
            f"Drift of forecast {target}s",
            "PSI against the version's own earlier sessions.",
            {"PSI": values[f"outputs_{target}"]},
            _mark_limit(signals, f"outputs_{target}"),
        )
        for target in TARGETS
    ]
    if INPUTS in values:
        worst = {"largest statistic over its limit": values[INPUTS][-INPUT_SESSIONS:]}
        said = f"Bars against those that the model has seen, newest {INPUT_SESSIONS} sessions."
        drawn.append(("Drift of inputs", said, worst, {"limit": 1.0}))
    charts = []
    for title, said, lines, marks in drawn:
        shown = days[-len(next(iter(lines.values()))) :]
        charts.append((title, said, draw_chart(title, shown, lines, marks=marks)))
    return charts


def _mark_limit(signals: Signals, name: str) -> dict[str, float]:
    limit = find_limit(name, signals.sessions, signals.values[name], [])
    return {} if limit is None else {"limit": limit}


def _format_figure(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _format_percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
