"""`closecast models`: what is registered, what serves, who changed it, and the way back."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from include.commands.adopt import adopt
from include.commands.options import AsJson, Why
from include.console import build_facts, build_table, emit, out, plain, show_steps
from include.errors import ClosecastError, InputError

if TYPE_CHECKING:
    from include.registry.ledger import Line
    from include.registry.versions import RegistryRow
    from include.settings import Settings
    from include.training.overrides import Word

app = typer.Typer(
    no_args_is_help=True, help="Registered models: list, show, reproduce, promote, roll back, history, verify."
)
app.command("adopt")(adopt)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the registered versions."""
    from include.home import current_settings
    from include.registry.versions import list_versions
    from include.training.overrides import read_words

    settings = current_settings()
    words, rows = read_words(settings), list_versions(settings)
    gates = {row.version: _word(words, row) for row in rows}
    cells = [
        [
            str(row.version),
            plain(row.kind),
            "–" if row.stage == "None" else row.stage,
            plain(", ".join(row.aliases)) or "–",
            gates[row.version] or "–",
            f"{row.metrics['relative_error']:.4f}" if "relative_error" in row.metrics else "–",
            f"{row.created_at:%Y-%m-%d %H:%M}" if row.created_at else "–",
        ]
        for row in rows
    ]
    columns = ["version", "kind", "stage", "aliases", "gate", "error / last close's", "registered (UTC)"]
    emit(
        {"versions": [asdict(row) | {"gate": gates[row.version]} for row in rows]},
        as_json=as_json,
        render=lambda: out.print(build_table("Models", columns, cells, right=5)),
    )


def _word(words: Mapping[str, Word], row: RegistryRow) -> str | None:
    """What a gate of this home said of a version's graph; its tag says what anybody may have written there."""
    found = words.get(row.tags.get("onnx_sha256", ""))
    return found.gate if found else None


@app.command("show")
def show_model(version: int, as_json: AsJson = False) -> None:
    """Show one version: its metrics and what led to it."""
    from include.home import current_settings
    from include.registry.versions import show_version
    from include.training.overrides import GATE, read_words

    settings = current_settings()
    row = show_version(settings, version)
    gate = _word(read_words(settings), row)
    said = (
        {"kind": row.kind, "stage": row.stage, "aliases": ", ".join(row.aliases) or "–", "run": row.run_id}
        | row.tags
        | {GATE: gate or "no gate of this home has judged it"}
        | {k: f"{v:.6g}" for k, v in row.metrics.items()}
    )
    facts = {key: plain(value) for key, value in said.items()}
    payload = asdict(row) | {GATE: gate}
    emit(payload, as_json=as_json, render=lambda: out.print(build_facts(f"Version {version}", facts)))


@app.command("reproduce")
def reproduce(version: int, as_json: AsJson = False) -> None:
    """Fit a version again from what its run recorded; say whether the same comes of it. Exit code 1 if not."""
    from include.home import current_settings
    from include.training.reproduce import Outcome, reproduce_version

    with show_steps() as step:
        line = step(f"Fit version {version} again")
        found = reproduce_version(current_settings(), version, lambda _, *said: line.update(*said))
        line.finish(found.outcome)
    lines = [plain(line) for line in found.summary().splitlines()]
    emit(asdict(found), as_json=as_json, render=lambda: out.print("\n".join(lines), soft_wrap=True))
    if found.outcome == Outcome.DIFFERS:
        raise typer.Exit(1)


@app.command("promote")
def promote(version: int, why: Why, as_json: AsJson = False) -> None:
    """Put a version into Production."""
    from include.home import current_settings
    from include.registry.open import open_registry
    from include.registry.promote import promote_version
    from include.training.overrides import describe_override

    settings = current_settings()
    detail = describe_override(settings, open_registry(settings).look().versions.get(version))
    before = promote_version(settings, version, who=getpass.getuser(), why=why, detail=detail)
    _emit_change(before, version, [], as_json)


@app.command("rollback")
def roll_back(
    why: Why,
    to: Annotated[int | None, typer.Option(help="A version; the one that served before by default.")] = None,
    rescore: Annotated[bool, typer.Option("--rescore", help="Score the newest session again, at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put an earlier version back into Production."""
    from include.home import current_settings
    from include.registry.promote import rollback_version
    from include.training.overrides import describe_rollback

    settings = current_settings()
    detail = describe_rollback(settings, to)
    before, after = rollback_version(settings, to=to, who=getpass.getuser(), why=why, detail=detail)
    _emit_change(before, after, _score_newest(settings) if rescore else [], as_json)


def _score_newest(settings: Settings) -> list[str]:
    """Forecast the newest session again; return the files."""
    from include.forecast import forecast_session
    from include.lake.bars import newest_session

    day = newest_session(settings.lake)
    with show_steps() as step:
        line = step(f"Score {day}")
        report, files = forecast_session(settings, day, asked_by="rollback")
        line.finish(report.summary())
    return [str(path) for path in files]


def _emit_change(before: int | None, after: int, files: list[str], as_json: bool) -> None:
    said = f"Production: version {after} (before: {before or 'none'}); effective from the next run"
    if before == after:
        said = f"Production: version {after} serves already"
    payload = {"from_version": before, "to_version": after, "files": files}
    emit(payload, as_json=as_json, render=lambda: out.print("\n".join([said, *files]), soft_wrap=True))


@app.command("history")
def show_history(
    at: Annotated[str | None, typer.Option(help="Which version served then: 2026-03-01T00:00Z.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the promotion ledger: which version served from when on, who changed it, and why."""
    from include.home import current_settings
    from include.registry.ledger import read_ledger, select_model, serving_line

    settings = current_settings()
    lines = select_model(settings, read_ledger(settings))
    if at is None:
        emit({"history": [asdict(line) for line in lines]}, as_json=as_json, render=lambda: _show_lines(lines))
        return
    moment = parse_moment(at)
    line = serving_line(lines, moment)
    version = line.to_version if line else None
    payload = {"at": moment, "version": version, "line": asdict(line) if line else None}
    said = f"{moment:%Y-%m-%d %H:%M:%S} UTC: " + (f"version {version}" if version is not None else "nothing served")
    emit(payload, as_json=as_json, render=lambda: out.print(said))


def parse_moment(text: str) -> datetime:
    """Read a moment; one without a zone is UTC.

    Raises
    ------
    InputError
        It is not in ISO 8601, or not within the years 1 to 9999 in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError("a moment must be as 2026-03-01T00:00Z", value=text) from error


def _show_lines(lines: list[Line]) -> None:
    from include.training.overrides import is_override

    cells: list[list[Any]] = [
        [
            f"{line.at:%Y-%m-%d %H:%M:%S}",
            "" if line.from_version is None else str(line.from_version),
            "" if line.to_version is None else str(line.to_version),
            line.action,
            escape(line.who),
            escape(line.why) + (" [yellow](no gate passed it)[/yellow]" if is_override(line) else ""),
        ]
        for line in lines
    ]
    columns = ["at (UTC)", "from", "to", "action", "who", "why"]
    out.print(build_table("Promotions", columns, cells, right=6, folded=("who", "why")))


@app.command("verify")
def verify(as_json: AsJson = False) -> None:
    """Check that no line of the promotion ledger was changed, left out or put elsewhere."""
    from include.home import current_settings
    from include.registry.verify import verify_ledger

    checked = verify_ledger(current_settings())
    if checked.faults:
        raise ClosecastError("the promotion ledger must be as it was written", value="; ".join(checked.faults))
    said = f"{checked.lines} line(s), each follows the one before{f'; {checked.note}' if checked.note else ''}"
    emit(asdict(checked), as_json=as_json, render=lambda: out.print(said))
