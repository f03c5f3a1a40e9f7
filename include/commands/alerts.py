"""`closecast alerts`: what is wrong, what was told of it, and by hand: have it, mute it, try whether Slack hears."""

from __future__ import annotations

import getpass
import re
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands.options import AsJson
from include.console import build_facts, build_table, emit, out, plain
from include.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from include.alerts.episodes import Episode
    from include.alerts.incidents import Affected
    from include.alerts.overview import Overview
    from include.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Incidents: list, show, ack, close, mute, unmute, test.")

Name = Annotated[str, typer.Argument(help="An incident's id, or its key: run_failed/market_close.")]
Muted = Annotated[str, typer.Argument(help="A key, a kind (docs/alerts.md), or * for everything.")]

_UNITS = {"m": 60, "h": 3600, "d": 86400}
_TEST_S = 20.0

_LONGEST_MUTE_S = 90 * 86400
"""A mute that outlives the memory of it hides what is wrong."""


@app.command("list")
def list_alerts(
    every: Annotated[bool, typer.Option("--all", help="Also what is over, and notices.")] = False,
    last: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List open incidents, mutes, messages that wait, and what is wrong with Slack."""
    from include.alerts.overview import read_overview

    found = read_overview(_recall(), time.time(), every=every, most=last)
    emit(_describe_overview(found), as_json=as_json, render=lambda: _show_overview(found))


def _show_overview(found: Overview) -> None:
    from include.alerts.overview import describe_state

    cells = []
    for each in found.episodes:
        how = f"{each.key}: {describe_state(each, found.untold.get(each.id, ''))}"
        what = f"{plain(each.summary)}\n{plain(how)}"
        cells.append([each.id, each.severity.value, _write_at(each.opened_at), what])
    if cells:
        columns = ["id", "severity", "since", "what"]
        out.print(build_table("Incidents", columns, cells, right=len(columns), folded=("what",)))
    else:
        out.print("nothing is wrong that anybody reported")
    for mute in found.mutes:
        out.print(plain(f"muted until {_write_at(mute.until)}: {mute.key} ({mute.who}: {mute.why})"), soft_wrap=True)
    if found.waiting:
        out.print(f"messages that wait: {found.waiting}")
    for trouble in found.trouble:
        state = "must be mended" if trouble.fault else "is tried again"
        said = f"Slack ({trouble.name}) {state}: {trouble.last_error}, since {_write_at(trouble.since)}"
        out.print(f"[red]{plain(said)}[/red]", soft_wrap=True)


@app.command("show")
def show_alert(name: Name, as_json: AsJson = False) -> None:
    """Show an incident, and each message of it."""
    from include.alerts.overview import read_messages

    episode, messages, untold = read_messages(_recall(), name, time.time())
    payload = _describe_episode(episode) | {"messages": [_describe_message(each) for each in messages]}
    emit(payload, as_json=as_json, render=lambda: _show_episode(episode, messages, untold))


def _show_episode(episode: Episode, messages: list[dict[str, Any]], untold: str) -> None:
    from include.alerts.kinds import recall_kind
    from include.alerts.overview import describe_state

    kind = recall_kind(episode.kind)
    facts = {
        "key": episode.key,
        "severity": episode.severity.value,
        "state": describe_state(episode, untold),
        "since": _write_at(episode.opened_at),
        "reports": f"{episode.count}, the last {_write_at(episode.last_at)}",
        "cause": episode.cause or kind.unsaid,
        kind.parts.lower(): "; ".join(episode.parts),
        **_write_affected(episode.affected),
        **{name.replace("_", " "): value for name, value in asdict(episode.links).items() if value},
        "recovered": _write_at(episode.recovered_at) if episode.recovered_at else "",
        "note": episode.note or "",
        "what to do": kind.runbook if kind.heals else "",
    }
    out.print(build_facts(plain(episode.summary), {name: plain(value) for name, value in facts.items() if value}))
    for each in messages:
        at = f" {_write_at(each['sent_at'])}" if each["sent_at"] else ""
        said = f": {each['last_error']}" if each["last_error"] and each["state"] != "sent" else ""
        out.print(plain(f"{each['what']}: {each['state']}{at}, attempts {each['attempts']}{said}"), soft_wrap=True)


@app.command()
def ack(name: Name, as_json: AsJson = False) -> None:
    """Say that you have an incident in hand: it is told no more until it is over."""
    from include.alerts.overview import ack_episode

    episode, who = ack_episode(_recall(), name, getpass.getuser()), getpass.getuser()
    emit({"id": episode.id, "key": episode.key, "acked_by": who}, as_json=as_json,
         render=lambda: out.print(plain(f"{episode.id} {episode.key}: {who} has it"), soft_wrap=True))  # fmt: skip


@app.command()
def close(
    name: Name,
    why: Annotated[str, typer.Option(help="What ended it, for the record and for Slack.")],
    as_json: AsJson = False,
) -> None:
    """Say that an incident is over which nothing will find to be: a DAG was deleted, a session never was."""
    from include.alerts.episodes import CLOSED
    from include.alerts.overview import list_unheard, require_open
    from include.alerts.report import report_recovery

    settings, who = _recall(), getpass.getuser()
    episode = require_open(settings, name)
    # The failed run of a session that never was: nobody was told of it, and nobody needs to be.
    also = list_unheard(settings, episode) if episode.kind == "upload_missing" else []
    for each in [*also, episode]:
        report_recovery(settings, each.key, note=f"{CLOSED}{who}: {why}")
    emit({"id": episode.id, "key": episode.key, "closed_by": who}, as_json=as_json,
         render=lambda: out.print(plain(f"{episode.id} {episode.key} is over"), soft_wrap=True))  # fmt: skip


@app.command()
def mute(
    key: Muted,
    lasts: Annotated[str, typer.Option("--for", help="30m, 8h, 2d; 90d at most.")] = "8h",
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Keep what comes of a key or a kind, and tell nobody for a while."""
    from include.alerts.muting import Mute, set_mute
    from include.alerts.store import open_store

    wish = Mute(_check_muted(key), time.time() + _read_duration(lasts), getpass.getuser(), why)
    with open_store(_recall(), key) as connection:
        set_mute(connection, wish)
    payload = asdict(wish) | {"until": _write_at(wish.until)}
    emit(payload, as_json=as_json, render=lambda: out.print(plain(f"{key} is muted until {_write_at(wish.until)}")))


@app.command()
def unmute(key: Muted, as_json: AsJson = False) -> None:
    """Tell again of what was muted; what waited is told."""
    from include.alerts.muting import end_mute
    from include.alerts.store import open_store

    with open_store(_recall(), key) as connection:
        was_muted = end_mute(connection, key)
    said = f"{key} is told of again" if was_muted else f"{key} was not muted"
    emit({"key": key, "was_muted": was_muted}, as_json=as_json, render=lambda: out.print(plain(said)))


@app.command("test")
def send_test_message(as_json: AsJson = False) -> None:
    """Send a message to each place that messages go to, and say which took it: what waits for that one goes at once."""
    from include.alerts.overview import ask_again
    from include.alerts.tell import send_test

    settings = _recall()
    told = send_test(settings, uuid.uuid4().hex[:10], timeout_s=_TEST_S)
    if not told:
        rule = "Slack must be set: CLOSECAST_SLACK_WEBHOOK_URL, or a bot's token and channel (docs/alerts.md)"
        raise InputError(rule)
    with suppress(UnavailableError):  # what waits is asked for again all the same, later
        ask_again(settings, [name for name, fault in told.items() if not fault], time.time())
    if faults := [f"{name}: {fault}" for name, fault in told.items() if fault]:
        raise UnavailableError("Slack must take the message", value=", ".join(faults))
    emit({"places": list(told)}, as_json=as_json, render=lambda: out.print(plain(f"sent to {', '.join(told)}")))


def _write_affected(affected: Affected) -> dict[str, str]:
    mend_by, published = affected.mend_by, affected.published
    return {
        "session": str(affected.session or ""),
        "symbols": "" if affected.symbols is None else f"{affected.symbols:,}",
        "forecasts": "" if published is None else "published" if published else "not published",
        "mend by": _write_at(mend_by.timestamp()) if mend_by else "",
    }


def _recall() -> Settings:
    """Return the home's settings without its registry: these commands work whatever state the system is in."""
    from include.home import recall_home
    from include.settings import load_settings

    return recall_home(load_settings())


def _check_muted(key: str) -> str:
    from include.alerts.kinds import find_kind
    from include.alerts.muting import ALL

    if key != ALL:
        find_kind(key.partition("/")[0])
    return key


def _read_duration(text: str) -> float:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if not found or not int(found[1]):
        raise InputError("a duration must be 30m, 8h or 2d", value=text, place="--for")
    lasts = int(found[1]) * _UNITS[found[2]]
    if lasts > _LONGEST_MUTE_S:
        raise InputError("a mute lasts 90d at most; what nobody wants goes into CLOSECAST_ALERTS_OFF", value=text)
    return float(lasts)


def _describe_overview(found: Overview) -> dict[str, Any]:
    return {
        "incidents": [_describe_episode(each) | {"untold": found.untold.get(each.id)} for each in found.episodes],
        "open": found.opened,
        "waiting": found.waiting,
        "mutes": [asdict(each) | {"until": _write_at(each.until)} for each in found.mutes],
        "trouble": [
            {"place": each.name, "fault": each.fault, "last_error": each.last_error, "since": _write_at(each.since)}
            for each in found.trouble
        ],
    }


def _describe_episode(episode: Episode) -> dict[str, Any]:
    said = asdict(episode)
    times = ("opened_at", "last_at", "recovered_at", "told_at")
    return said | {name: _write_at(said[name]) if said[name] else None for name in times}


def _describe_message(row: dict[str, Any]) -> dict[str, Any]:
    sent_at = _write_at(row["sent_at"]) if row["sent_at"] else None
    return {name: row[name] for name in ("what", "state", "attempts", "last_error")} | {"sent_at": sent_at}


def _write_at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
