"""Audits as pages of text: an explanation, what moved a forecast, replays, findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from include.audit.explain import Explanation
from include.audit.replay import Outcome, Replay
from include.audit.verify import Verification
from include.audit.why import Why
from include.audit.window import WindowRow
from include.console import build_facts, build_table, out, plain, price
from include.schema import TARGETS, WINDOW_COLUMNS

_SHOWN = 20
_BAR = 12


def show_explanation(found: Explanation) -> None:
    """Draw an explanation."""
    run = found.run
    _show_forecasts(found)
    if found.window:
        _show_window(found.window)
    changes = {} if run.reference_version is None else {"symbol changes": run.reference_version[:16]}
    facts = {
        "bars": f"version {run.bars_version}",
        "calibration": "none" if run.calibration_version is None else f"version {run.calibration_version}",
        **changes,
        "code": f"{plain(run.code_version)} ({'the same as now' if found.is_same_code else 'perhaps another now'})",
        "environment": f"{run.environment_hash} ({'the same as now' if found.is_same_environment else 'another now'})",
        "settings": plain(run.settings),
        "run": plain(run.run_id),
        "scored at": f"{run.scored_at:%Y-%m-%d %H:%M:%S} UTC",
        "run's hash": f"{run.hash[:16]} (run {run.sequence} of the chain)",
    }
    out.print(build_facts("\nWhat the run was pinned to", facts | _describe_task(found.task)))
    out.print(build_facts("\nModel", _describe_model(found)))
    _show_outcomes(found.outcomes)
    for note in found.notes:
        out.print(f"[yellow]{plain(note)}[/yellow]")


def _show_forecasts(found: Explanation) -> None:
    run = found.run
    title = f"{plain(found.symbol)}: forecast made at the close of {run.as_of}"
    cells = [
        [
            str(row["target_session"]),
            row["target"],
            price(row["predicted"]),
            _span(row["lower_80"], row["upper_80"]),
            _span(row["lower_95"], row["upper_95"]),
        ]
        for row in found.forecasts
    ]
    out.print(build_table(title, ["session", "target", "forecast", "80 %", "95 %"], cells, right=2))
    first = found.forecasts[0]
    reason = f" ({plain(first['reason'])})" if first["reason"] else ""
    out.print(f"{first['status']}{reason}; last close {price(first['last_close'])}")


def _span(lower: float | None, upper: float | None) -> str:
    return "–" if lower is None or upper is None else f"{price(lower)} to {price(upper)}"


def _show_window(window: Sequence[WindowRow]) -> None:
    bars = [
        [str(row.session), *((price(row.bar[name]) for name in WINDOW_COLUMNS) if row.bar else ["no row"])]
        for row in window
    ]
    columns = ["session", *(name.replace("_", " ") for name in WINDOW_COLUMNS)]
    out.print(build_table("\nThe window", columns, [row + [""] * (len(columns) - len(row)) for row in bars]))
    cells = [
        [
            str(row.session),
            (row.upload_sha256 or "–")[:12],
            f"{row.ingested_at:%Y-%m-%d %H:%M}" if row.ingested_at else "–",
            plain(row.upload_name or "–"),
            plain(row.validation),
            {True: "yes", False: "[red]no, changed[/red]", None: "–"}[row.is_whole],
        ]
        for row in window
    ]
    columns = ["session", "upload", "ingested", "name", "validation", "file whole"]
    out.print(build_table("\nWhere its rows came from", columns, cells, right=6, folded=("name", "validation")))


def _describe_task(task: Mapping[str, Any] | None) -> dict[str, str]:
    if task is None:
        return {"asked by": "a person, no DAG"}
    logs = [plain(str(path.relative_to(task["folder"]))) for path in task["logs"]]
    where = f"{plain(str(task['folder']))}: {', '.join(logs) if logs else 'no log is there'}"
    return {"DAG": plain(task["dag_id"]), "DAG run": plain(task["dag_run_id"]), "logs": where}


def _describe_model(found: Explanation) -> dict[str, str]:
    run, origin = found.run, found.origin
    facts = {
        "model": f"{plain(run.model_name)} version {run.model_version}, {plain(run.model_kind)}",
        "graph": run.onnx_sha256[:16],
        "trained through": str(run.trained_through or "–"),
    }
    if origin.snapshot:
        facts["snapshot"] = plain(", ".join(f"{key.replace('_', ' ')} {val}" for key, val in origin.snapshot.items()))
    if origin.gate:
        facts["gate"] = plain(f"{origin.gate}: {origin.gate_why}")
    if origin.mlflow_run_id:
        facts["MLflow run"] = plain(origin.mlflow_run_id)
    line = origin.promoted
    served = "it did not serve then; the run asked for it, or the ledger does not know"
    if line:
        before = "nothing" if line["from_version"] is None else f"version {line['from_version']}"
        served = f"{line['action']} by {line['who']} at {line['at']:%Y-%m-%d %H:%M} UTC, after {before}: {line['why']}"
    return facts | {"served by": plain(served)}


def _show_outcomes(outcomes: Sequence[Mapping[str, Any]]) -> None:
    if not outcomes:
        out.print("\nWhat came true is not known yet.")
        return
    cells = [
        [
            str(row["target_session"]),
            row["target"],
            price(row["actual"]),
            f"{100 * row['error']:+.3f} %",
            f"{100 * row['last_close_error']:+.3f} %",
            *({True: "inside", False: "outside", None: "–"}[row[f"inside_{level}"]] for level in (80, 95)),
        ]
        for row in outcomes
    ]
    columns = ["session", "target", "came", "our error", "last close's", "80 %", "95 %"]
    out.print(build_table("\nWhat came true (errors: log return)", columns, cells, right=2))


def show_why(found: Why, *, width: int = _BAR) -> None:
    """Draw the shares as bars, a table a target session."""
    largest = float(abs(found.shares).max()) or 1.0
    for ahead, session in enumerate(found.target_sessions):
        cells = []
        for at, name in enumerate(found.groups):
            row = [name]
            for target in range(len(TARGETS)):
                share = float(found.shares[at, ahead, target])
                row += [f"{100 * share:+.4f} %", _draw_bar(share / largest, width)]
            cells.append(row)
        for name, values in (("flat window", found.baseline), ("forecast", found.forecast)):
            cells.append([name, *(text for value in values[ahead] for text in (f"{100 * value:+.4f} %", ""))])
        columns = ["inputs", *(text for target in TARGETS for text in (target, ""))]
        out.print(
            build_table(f"\nWhat moved the forecast for {session} (log return)", columns, cells, folded=["inputs"])
        )
    out.print("[dim]Shapley values: flat window + all shares = forecast (docs/audit.md)[/dim]")


def _draw_bar(share: float, width: int) -> str:
    """A bar to the right of the middle for a push up, to the left for one down."""
    half = width // 2
    length = round(abs(share) * half)
    if share >= 0:
        return f"{' ' * half}│[green]{'█' * length}[/green]{' ' * (half - length)}"
    return f"{' ' * (half - length)}[red]{'█' * length}[/red]│{' ' * half}"


def show_replays(replays: Iterable[Replay]) -> None:
    """Draw what came of replays, a line each, with the cells that differ."""
    for each in replays:
        colour = "red" if each.is_fault else "yellow" if each.outcome is not Outcome.IDENTICAL else "green"
        out.print(f"[{colour}]{plain(each.summary())}[/{colour}]")
        for difference in each.differences[:_SHOWN]:
            out.print(f"  {plain(difference.describe())}")


def show_verification(found: Verification) -> None:
    """Draw each check, then what was found and what could not be looked at."""
    cells = [
        [check.area, f"{check.count:,} {check.noun}", f"{len(check.findings):,}" if check.findings else "none"]
        for check in found.checks
    ]
    out.print(build_table("As it was written?", ["what", "looked at", "findings"], cells))
    for finding in found.findings:
        named = [finding.symbol, finding.column, str(finding.session) if finding.session else None]
        where = ", ".join(plain(each) for each in named if each)
        runs = [plain(run_id) for run_id in finding.run_ids]
        said = (
            "; runs: " + ", ".join(runs[:3]) + (f" and {len(runs) - 3:,} more" if len(runs) > 3 else "") if runs else ""
        )
        out.print(f"[red]{finding.area}[/red] {f'[bold]{where}[/bold] ' if where else ''}{plain(finding.said)}{said}")
    for note in found.notes:
        out.print(f"[dim]not looked at: {plain(note)}[/dim]")
