"""`closecast backtest`: models over earlier sessions, as production would have run them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands.options import AsJson
from include.console import build_table, emit, out, plain, show_steps
from include.home import current_settings

if TYPE_CHECKING:
    from include.console import Step
    from include.training.trial import TrialResult

_FIRST = ("mean_absolute_error", "relative_error", "directional_accuracy", "coverage_80", "coverage_95")
_WIDE = 144
"""Columns of a terminal that has room for all metrics; a narrower one shows the first."""


def backtest(
    model: Annotated[list[str] | None, typer.Option(help="Which models; all by default.")] = None,
    version: Annotated[
        int | None, typer.Option(help="A registered version as it is, on sessions after its snapshot alone.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First session that is forecast; by default 60 are.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last of them; the newest by default.")] = None,
    origins: Annotated[int, typer.Option(min=1, help="How often the models are fitted, before as many blocks.")] = 4,
    refit: Annotated[bool, typer.Option(help="Fit before each origin, or once before the first.")] = True,
    windows: Annotated[
        int | None, typer.Option(min=20, help="Most windows of one fit; the setting's by default.")
    ] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder to write; in the home by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit models before each of several origins and judge them on the sessions that followed."""
    from include.tasks import parse_session
    from include.training.trial import Trial, run_trial
    from include.training.trial_files import write_trial

    settings = current_settings()
    trial = Trial(
        models=tuple(model or ()),
        version=version,
        first=parse_session(first) if first else None,
        last=parse_session(last) if last else None,
        origins=origins,
        refit=refit,
        windows=windows,
    )
    lines: dict[str, Step] = {}
    with show_steps() as open_step:

        def tell(name: str, done: float, total: int, said: str) -> None:
            if name not in lines:
                lines[name] = open_step(f"Backtest {name}")
            lines[name].update(done, total, said)
            if done == total:
                lines[name].finish(said)

        result = run_trial(settings, trial, on_progress=tell)
        sessions = result.walk.held.sessions
        line = open_step("Write the report")
        files = write_trial(out_dir or settings.backtests / f"{sessions[0]}_{sessions[-1]}", result)
        line.finish(f"{len(files)} files")
    emit(_build_payload(result, files), as_json=as_json, render=lambda: _show(result, files))


def _build_payload(result: TrialResult, files: list[Path]) -> dict[str, Any]:
    from include.training.trial_files import select_overall

    sessions = result.walk.held.sessions
    return {
        "snapshot": asdict(result.snapshot),
        "from": sessions[0],
        "to": sessions[-1],
        "sessions": len(sessions),
        "metrics": [
            {key: None if value != value else value for key, value in row.items()}  # noqa: PLR0124 JSON has no NaN
            for row in select_overall(result.rows)
        ],
        "fits": {name: [asdict(fit) for fit in fits] for name, fits in result.walk.fits.items()},
        "files": files,
    }


def _show(result: TrialResult, files: list[Path]) -> None:
    from include.backtest.measures import METRICS
    from include.training.trial_files import HEADINGS, format_metrics, select_overall

    rows = select_overall(result.rows)
    sessions = result.walk.held.sessions
    title = f"{rows[0]['cells']:,} forecasts a model and target on {len(sessions)} session(s) from {sessions[0]}"
    shown = [name for name in METRICS if out.width >= _WIDE or name in _FIRST]
    columns = ["model", "target", *(HEADINGS[name] for name in shown)]
    cells = []
    for row in rows:
        metrics = dict(zip(METRICS, format_metrics(row), strict=True))
        cells.append([row["model"], row["target"], *(metrics[name] for name in shown)])
    out.print(build_table(title, columns, cells, right=2))
    out.print(plain(str(files[0])), soft_wrap=True)
