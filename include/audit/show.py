"""Audits as pages of text: an explanation, what moved a forecast, replays, findings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from rich.table import Table

from include.audit.explain import Explanation
from include.audit.replay import Outcome, Replay
from include.audit.verify import Verification
from include.audit.why import Why
from include.audit.window import WindowRow
from include.console import build_facts, build_table, out, plain, price
from include.provenance import code_version
from include.schema import LEVELS, TARGETS, WINDOW_COLUMNS

_SHOWN = 20
_BAR = 12
_WIDE = 84
"""Columns of a terminal that a table of bars needs."""


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
        "code": plain(f"{run.code_version} ({_describe_code(found)})"),
        "environment": f"{run.environment_hash} ({'the same as now' if found.is_same_environment else 'another now'})",
        "settings": plain(_list_pairs(json.loads(run.settings))),
        "run": plain(run.run_id),
        "scored at": f"{run.scored_at:%Y-%m-%d %H:%M:%S} UTC",
        "run's hash": f"{run.hash[:16]} (run {run.sequence} of the chain)",
    }
    _draw(build_facts("What the run was pinned to", facts | _describe_task(found.task)))
    _draw(build_facts("Model", _describe_model(found)))
    _show_outcomes(found.outcomes)
    for note in found.notes:
        out.print(f"[yellow]{plain(note)}[/yellow]")


def _describe_code(found: Explanation) -> str:
    """Say how a run's code and today's are to each other: of a tree with changes of its own a name says too little."""
    if found.is_same_code:
        return "the same as now"
    now = code_version()
    if now != found.run.code_version:
        return f"now {now}"
    return "now the same commit, both times with changes that were not committed: perhaps others"


def _list_pairs(pairs: Mapping[str, Any]) -> str:
    """Name each value, a hash by its beginning."""
    said = {key: str(value)[:16] if key.endswith("sha256") else value for key, value in pairs.items()}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in said.items())


def _draw(table: Table) -> None:
    out.print()
    out.print(table)


def _show_forecasts(found: Explanation) -> None:
    title = f"{plain(found.symbol)}: forecast made at the close of {found.run.as_of}"
    facts = {
        f"{row['target_session']} {row['target']}": f"[bold]{price(row['predicted'])}[/bold]{_describe_bounds(row)}"
        for row in found.forecasts
    }
    first = found.forecasts[0]
    facts["last close"] = price(first["last_close"])
    facts["status"] = first["status"] + (f": {plain(first['reason'])}" if first["reason"] else "")
    out.print(build_facts(title, facts))


def _describe_bounds(row: Mapping[str, Any]) -> str:
    known = [level for level in LEVELS if row[f"lower_{level}"] is not None and row[f"upper_{level}"] is not None]
    return "".join(f"; {lv} %: {price(row[f'lower_{lv}'])} to {price(row[f'upper_{lv}'])}" for lv in known)


def _show_window(window: Sequence[WindowRow]) -> None:
    if out.width >= _WIDE:
        cells = [[str(row.session), *_list_prices(row)] for row in window]
        columns = ["session", *(name.replace("_", " ") for name in WINDOW_COLUMNS)]
        _draw(build_table("The window", columns, cells))
    else:
        said = {str(row.session): ", ".join(_list_prices(row)) for row in window}
        _draw(build_facts("The window (open, high, low, close, volume, market cap)", said))
    spans: list[tuple[WindowRow, WindowRow, str]] = []
    for row in window:
        source = _describe_source(row)
        if spans and spans[-1][2] == source:
            spans[-1] = (spans[-1][0], row, source)
        else:
            spans.append((row, row, source))
    facts = {
        str(first.session) + (f" to {last.session:%m-%d}" if last is not first else ""): source
        for first, last, source in spans
    }
    _draw(build_facts("Where its rows came from", facts))


def _list_prices(row: WindowRow) -> list[str]:
    return [price(row.bar[name]) if row.bar else "no row" for name in WINDOW_COLUMNS]


def _describe_source(row: WindowRow) -> str:
    whole = {True: "file as written", False: "[red]file changed since[/red]", None: "file without a hash"}[row.is_whole]
    if row.upload_sha256 is None or row.ingested_at is None:
        return f"no row; session {plain(row.validation)}; {whole}"
    named = f"{plain(row.upload_name or 'an upload that is not in the catalog')} ({row.upload_sha256[:12]})"
    return f"{named}, ingested {row.ingested_at:%Y-%m-%d %H:%M} UTC; session {plain(row.validation)}; {whole}"


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
        facts["snapshot"] = plain(_list_pairs(origin.snapshot))
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
        out.print()
        out.print("What came true is not known yet.")
        return
    facts = {
        f"{row['target_session']} {row['target']}": f"[bold]{price(row['actual'])}[/bold]; error"
        f" {100 * row['error']:+.3f} %, last close's {100 * row['last_close_error']:+.3f} %{_describe_inside(row)}"
        for row in outcomes
    }
    _draw(build_facts("What came true (errors: log return)", facts))


def _describe_inside(row: Mapping[str, Any]) -> str:
    known = {level: row[f"inside_{level}"] for level in LEVELS if row[f"inside_{level}"] is not None}
    return "".join(f"; {'inside' if inside else 'outside'} {level} %" for level, inside in known.items())


def show_why(found: Why) -> None:
    """Draw the shares as bars, a table a target session; on a narrow terminal one a target too."""
    together = [list(range(len(TARGETS)))] if out.width >= _WIDE + 6 else [[at] for at in range(len(TARGETS))]
    for ahead, session in enumerate(found.target_sessions):
        for targets in together:
            title = f"What moved the forecast for {session} (log return)"
            columns = ["inputs", *(text for at in targets for text in (TARGETS[at], ""))]
            _draw(build_table(title, columns, _list_shares(found, ahead, targets), folded=("inputs", "")))
    out.print("[dim]Shapley values: flat window + all shares = forecast (docs/audit.md)[/dim]")


def _list_shares(found: Why, ahead: int, targets: Sequence[int]) -> list[list[str]]:
    largest = float(np.nanmax(np.abs(found.shares), initial=0.0)) or 1.0
    cells = []
    for name, shares in zip(found.groups, found.shares[:, ahead], strict=True):
        drawn = (text for at in targets for text in (_percent(shares[at]), _draw_bar(shares[at] / largest)))
        cells.append([name, *drawn])
    for name, values in (("flat window", found.baseline[ahead]), ("forecast", found.forecast[ahead])):
        cells.append([name, *(text for at in targets for text in (_percent(values[at]), ""))])
    return cells


def _percent(log_return: float) -> str:
    return f"{100 * log_return:+.4f} %" if isfinite(log_return) else "–"


def _draw_bar(share: float) -> str:
    """A bar to the right of the middle for a push up, to the left for one down."""
    if not isfinite(share):  # of a target that the model does not forecast
        return ""
    half = _BAR // 2
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
