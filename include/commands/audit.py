"""`closecast explain`, `closecast replay`, `closecast audit`: where a forecast came from, and whether it still does."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands.options import AsJson
from include.console import emit, out, plain, show_steps
from include.errors import InputError

if TYPE_CHECKING:
    from include.audit.explain import Explanation
    from include.audit.replay import Replay
    from include.audit.why import Floats, Why
    from include.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Whether anything was changed since: verify.")

Symbol = Annotated[str | None, typer.Option(help="One symbol, by its name of then.")]
RunId = Annotated[str | None, typer.Option("--run", help="A run's id; the session's newest by default.")]


def explain(
    symbol: Annotated[str, typer.Option(help="Which, by its name of then.")],
    as_of: Annotated[str | None, typer.Option(help="YYYY-MM-DD, the session scored; the newest by default.")] = None,
    run: RunId = None,
    why: Annotated[bool, typer.Option("--why", help="How much each part of the window moved the forecast.")] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Make it again and compare. Exit code 1 if changed.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="A PNG to write: history, intervals, outcome.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a forecast with all that led to it: bars, uploads, model, promotion, code, task, and what came true."""
    from include.audit.explain import explain_forecast
    from include.home import current_settings

    settings = current_settings()
    found = explain_forecast(settings, symbol, as_of=_parse(as_of), run_id=run)
    shares = _explain_why(settings, found) if why else None
    again = _replay_symbol(settings, found) if replay else None
    if picture:
        _write_picture(settings, found, picture)
    payload = asdict(found) | {"why": _describe_why(shares), "replay": _describe_replay(again) if again else None}
    emit(payload | {"picture": picture}, as_json=as_json, render=lambda: _show(found, shares, again, picture))
    if again and again.is_fault:
        raise typer.Exit(1)


def _parse(session: str | None) -> date | None:
    from include.tasks import parse_session

    return parse_session(session) if session else None


def _explain_why(settings: Settings, found: Explanation) -> Why:
    from include.audit.why import explain_why
    from include.schema import Status

    status = found.forecasts[0]["status"]
    if status != Status.SCORED:
        raise InputError("a forecast must be the model's own to be explained (--why)", value=status)
    return explain_why(settings, found.run, found.symbol)


def _replay_symbol(settings: Settings, found: Explanation) -> Replay:
    from include.audit.replay import replay_run

    return replay_run(settings, found.run, symbol=found.symbol)


def _write_picture(settings: Settings, found: Explanation, path: Path) -> None:
    from include.audit.picture import draw_picture
    from include.files import open_placed

    drawn = draw_picture(settings, found)
    with open_placed(path.absolute()) as file:
        file.write(drawn)


def _describe_why(why: Why | None) -> dict[str, Any] | None:
    if why is None:
        return None
    arrays = {name: _without_nan(getattr(why, name)) for name in ("shares", "forecast", "baseline")}
    return {"groups": why.groups, "target_sessions": why.target_sessions} | arrays


def _without_nan(values: Floats) -> Any:
    """Give numbers as JSON has them: it has no NaN, which a target that the model does not forecast is."""

    def replace(found: Any) -> Any:
        return [replace(each) for each in found] if isinstance(found, list) else found if isfinite(found) else None

    return replace(values.tolist())


def _describe_replay(replay: Replay) -> dict[str, Any]:
    return asdict(replay) | {"is_fault": replay.is_fault}


def _show(found: Explanation, why: Why | None, replay: Replay | None, picture: Path | None) -> None:
    from include.audit.show import show_explanation, show_replays, show_why

    show_explanation(found)
    if why:
        show_why(why)
    if replay:
        out.print()
        show_replays([replay])
    if picture:
        out.print()
        out.print(plain(f"Picture: {picture}"), soft_wrap=True)


def replay(
    first: Annotated[str | None, typer.Option("--from", help="YYYY-MM-DD; the newest scored one by default.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="YYYY-MM-DD; that of --from by default.")] = None,
    run: RunId = None,
    symbol: Symbol = None,
    as_json: AsJson = False,
) -> None:
    """Make runs again from what they were pinned to, and compare to the bit. Exit code 1 if anything was changed."""
    from include.audit.choose import choose_runs
    from include.audit.replay import replay_runs
    from include.audit.show import show_replays
    from include.home import current_settings

    settings = current_settings()
    runs = choose_runs(settings, run_id=run, first=_parse(first), last=_parse(last))
    with show_steps() as step:
        line = step("Replay")
        replays = replay_runs(settings, runs, symbol=symbol, tell=line.update)
        line.finish(f"{len(runs)} run(s)")
    rows, identical = (sum(getattr(each, name) for each in replays) for name in ("rows", "identical"))
    payload = {"rows": rows, "identical": identical, "replays": [_describe_replay(each) for each in replays]}
    emit(payload, as_json=as_json, render=lambda: show_replays(replays))
    if any(each.is_fault for each in replays):
        raise typer.Exit(1)


@app.command("verify")
def verify(as_json: AsJson = False) -> None:
    """Check runs, forecasts, bars, graphs and the ledger against their hashes. Exit code 1 if anything was changed."""
    from include.audit.show import show_verification
    from include.audit.verify import verify_home
    from include.home import current_settings

    with show_steps() as step:
        line = step("Verify")
        found = verify_home(current_settings(), line.update)
        line.finish(f"{len(found.findings)} finding(s)")
    emit(asdict(found) | {"whole": not found.findings}, as_json=as_json, render=lambda: show_verification(found))
    if found.findings:
        raise typer.Exit(1)
