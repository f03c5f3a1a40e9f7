"""The pictures that commands draw: the models of a retrain, forecasts, errors, how the system stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from include.console import build_table, out, plain, price
from include.monitoring.skill import Skill
from include.training.champion import CHAMPION
from include.training.judgement import Judgement
from include.training.train import Retrained


def show_retrain(found: Retrained) -> None:
    """Draw every model beside last close and what the gate said of it, and say who serves."""
    judgement, snapshot = found.judgement, found.snapshot
    rows = [
        [
            f"{'→ ' if judgement.versions[fit.kind] == judgement.version else '  '}{fit.kind}",
            str(judgement.versions[fit.kind]),
            *(f"{fit.metrics[name]:.4f}" for name in ("open_relative_error", "close_relative_error", "relative_error")),
            *(_find_p_values(judgement, fit.kind)),
            judgement.gate[fit.kind],
        ]
        for fit in found.fits
    ]
    windows = found.fits[0].metrics["holdout_windows"]
    title = (
        f"Models, judged on {windows:,.0f} windows of {snapshot.holdout_sessions} held-out sessions"
        f" (from {snapshot.holdout_from})"
    )
    columns = ["model", "version", "open", "close", "both", "p,\nchampion", "p,\nnaive", "gate"]
    out.print(build_table(title, columns, rows))
    out.print("[dim]open, close, both: mean |log(actual) - log(forecast)| over last close's; p: of not better[/dim]")
    for name, failed in _list_failures(judgement):
        out.print(f"[dim]{name}: {failed}[/dim]")
    serves = "Serves" if found.serving is not None else "Would serve (nothing was promoted, as was asked)"
    out.print(f"{serves}: [bold]{judgement.serves}, version {judgement.version}[/bold]\n{judgement.why}")


def _find_p_values(judgement: Judgement, kind: str) -> list[str]:
    """The p-value beside the champion and the largest beside a naive model, each as text."""
    found = _find_challenger(judgement, kind)
    comparisons = found["comparisons"] if found else []
    champion = [one["p_value"] for one in comparisons if one["other"] == CHAMPION]
    naive = [one["p_value"] for one in comparisons if one["other"] != CHAMPION]
    return [f"{max(values):.4f}" if values else "–" for values in (champion, naive)]


def _list_failures(judgement: Judgement) -> list[tuple[str, str]]:
    """What held each challenger back, in a line."""
    said = []
    for found in judgement.verdict["challengers"] if judgement.verdict else []:
        worse = [f"not better than {one['other']}" for one in found["comparisons"] if not one["is_better"]]
        failed = [_describe_check(one) for one in found["checks"] if not one["holds"]]
        if worse or failed:
            said.append((found["name"], "; ".join(worse + failed)))
    return said


def _describe_check(check: dict[str, Any]) -> str:
    """A guard that was not kept: its value and the bound, in four digits."""
    if check["value"] is None:
        return f"{check['name']} no number"
    bounds = [
        f"{word.replace('_', ' ')} {check[word]:.4g}" for word in ("at_least", "at_most") if check[word] is not None
    ]
    return f"{check['name']} {check['value']:.4g}, must be {' and '.join(bounds)}"


def _find_challenger(judgement: Judgement, kind: str) -> dict[str, Any] | None:
    challengers = judgement.verdict["challengers"] if judgement.verdict else []
    return next((one for one in challengers if one["name"] == kind), None)


def show_forecasts(rows: Sequence[dict[str, Any]], title: str, *, most: int = 20) -> None:
    """Draw forecasts as `widen_run` gives them, a symbol a line."""
    prices = ("last_close", "pred_open", "pred_close")
    cells = [[plain(row["symbol"]), row["status"], *(price(row[name]) for name in prices)] for row in rows[:most]]
    columns = ["symbol", "status", "last close", "predicted open", "predicted close"]
    out.print(f"[bold]{plain(title)}[/bold]", soft_wrap=True)  # as a table's own title it would be as narrow as that
    out.print(build_table("", columns, cells, right=2))
    if len(rows) > most:
        out.print(f"[dim]… and {len(rows) - most:,} more[/dim]")


def build_skill_table(title: str, group: str, rows: Sequence[Skill]) -> Table:
    """Build a table of skill, a group and target a line, beside the last close."""
    cells = [
        [
            plain(row.group),
            row.target,
            f"{row.forecasts:,}",
            f"{row.mean_absolute_error:.5f}",
            f"{row.last_close_error:.5f}",
            _show_number(row.relative_error, ".3f"),
            *(_show_share(value) for value in (row.directional_accuracy, row.coverage_80, row.coverage_95)),
            _show_number(row.mean_scaled_error, ".3f"),
        ]
        for row in rows
    ]
    errors = ["forecasts", "error", "last close's", "ratio"]
    columns = [group, "target", *errors, "direction", "in 80 %", "in 95 %", "scaled"]
    return build_table(title, columns, cells, right=2)


def _show_share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _show_number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
