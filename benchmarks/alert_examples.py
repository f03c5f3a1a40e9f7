"""An example of each message that Slack gets, made by the code that makes them: for docs/alerts.md.

python -m benchmarks.alert_examples                  the examples as text, as they stand in docs/alerts.md
python -m benchmarks.alert_examples --picture FILE   as Slack shows them, drawn by Chromium
python -m benchmarks.alert_examples --page FILE      some of them on Airflow's page Incidents
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.chromium import find_chromium
from include.alerts.episodes import RECOVERED, draft_episode
from include.alerts.incidents import Affected, Incident, Links, Notice, Recovery, Report, Severity
from include.alerts.kinds import KINDS
from include.alerts.messages import Message, build_digest, build_message
from include.alerts.muting import Mute, set_mute
from include.alerts.outbox import Row, What
from include.alerts.record import record
from include.alerts.store import open_store
from include.monitoring.incidents_page import draw_incidents
from include.settings import Settings

AT = datetime(2026, 11, 21, 0, 1, 40, tzinfo=UTC).timestamp()
SESSION = date(2026, 11, 20)
RUN = "https://airflow.example/dags/market_close/runs/scheduled__2026-11-20"
DOCS = "https://docs.example/closecast"

FAILED = Incident(
    "run_failed/market_close",
    "run_failed",
    f"market_close failed, session {SESSION}",
    "score: the child of a task must end by itself. Received: killed by SIGKILL (in include.tasks:score)",
    severity=Severity.CRITICAL,
    affected=Affected(SESSION, 10_000, published=False, mend_by=datetime(2026, 11, 21, 4, tzinfo=UTC)),
    parts=(f"score, session {SESSION}",),
    links=Links(run=RUN, log=f"{RUN}/tasks/score?try_number=3"),
)
SHARDS = replace(
    FAILED,
    cause="score_shard: no room is left on the disk",
    parts=tuple(f"score_shard[{number}], session {SESSION}" for number in range(40)),
)
REFUSED = Incident(
    "gate_refused_session/market_close",
    "gate_refused_session",
    f"market_close failed, session {SESSION}",
    "validate: BlockedError: a session must pass its validation. Received: prices_move_together, symbols_are_there",
    affected=Affected(SESSION, published=False),
    parts=(f"validate, session {SESSION}",),
    links=Links(run=RUN, data_docs=f"https://airflow.example/data-docs/session/{SESSION}"),
)
BREACH = Incident(
    "coverage_breach/forecasts",
    "coverage_breach",
    f"Intervals do not cover what they promise, session {SESSION}",
    "coverage_80 in breach since 2026-11-18, version 7: 0.164, limit 0.121, by the newest 5 sessions",
    affected=Affected(SESSION),
    parts=("coverage_80",),
    links=Links(report=f"https://airflow.example/session-reports/{SESSION}"),
)
NASTY = Incident(
    "artifact_damaged/closecast",
    "artifact_damaged",
    "closecast: the last good version serves, 6 (ridge)",
    "version 7 cannot serve: <!channel> <https://evil.example|log> is no name of a column",
)
PROMOTED = Notice(
    "model_promoted/r1", "model_promoted", "closecast: version 7 serves, before it 6 (promoted by ada)", "steadier"
)
PUBLISHED = Notice(
    f"forecasts_published/{SESSION}",
    "forecasts_published",
    f"Forecasts of session {SESSION} are out: 9,981 of 10,000 symbols",
    "17 too_short, 2 stale; close: 0.962 of last close's error, 80 % intervals cover 81 % (newest 30)",
    affected=Affected(SESSION, 10_000, published=True),
)


def build_examples() -> dict[str, Message]:
    """Return the examples by their titles."""
    killed, moved = _row("3f9a1c07be", FAILED), _row("d41e0f6a52", PROMOTED, What.NOTICE)
    over = replace(
        killed.episode, status=RECOVERED, recovered_at=AT + 1994, note=f"The run of session {SESSION} succeeded."
    )
    waited = [
        killed,
        _row("7b1fd00c9e", BREACH, at=AT + 600),
        replace(killed, what=What.RECOVERED, episode=over, created_at=AT + 1994),
        replace(moved, created_at=AT + 2400),
    ]
    return {
        "A run failed": build_message(killed, mention="here", docs_url=DOCS),
        "Forty tasks of one run": build_message(_row("90c2aa17d3", SHARDS), mention="here", docs_url=DOCS),
        "It is over": build_message(replace(killed, what=What.RECOVERED, episode=over), docs_url=DOCS),
        "It goes on, a day later": build_message(replace(killed, what=What.AGAIN), mention="here", docs_url=DOCS),
        "A session that its gate refused": build_message(_row("5e8801fb2a", REFUSED), mention="here", docs_url=DOCS),
        "A breach": build_message(waited[1], docs_url=DOCS),
        "Text from data pings nobody and links nowhere": build_message(_row("c63d2b9f10", NASTY)),
        "A notice": build_message(moved),
        "Forecasts are out, where the setting wants it": build_message(_row("e09b7ac451", PUBLISHED, What.NOTICE)),
        "After quiet hours, or when Slack is back": build_digest(waited, mention="here"),
    }


def _row(name: str, report: Incident | Notice, what: What = What.OPENED, *, at: float = AT) -> Row:
    return Row(1, what, at, at, 0, replace(draft_episode(report, at), id=name))


def write_text() -> str:
    """Write the examples as a document shows them: the notification line, then the message's own texts."""
    return "\n".join(f"**{title}**\n\n```\n{_write(message)}\n```\n" for title, message in build_examples().items())


def write_kinds() -> str:
    """Write the table of kinds: severity, what it explains, whether it is told by default."""
    header = "| kind | what | severity | mutes | told |\n|---|---|---|---|---|\n"
    return header + "".join(
        f"| `{kind.name}` | {kind.title} | {kind.severity} | {', '.join(f'`{each}`' for each in kind.mutes)} |"
        f" {'yes' if kind.is_on else 'no'} |\n"
        for kind in KINDS.values()
    )


def _write(message: Message) -> str:
    lines = [f"notification: {message.text}", ""]
    for block in message.blocks:
        lines += [_show_marks(text).replace("\n", ": " if block.get("fields") else "\n") for text, _ in _texts(block)]
    return "\n".join(lines)


def _show_marks(text: str) -> str:
    """Show links, moments and mentions as a reader sees them."""
    text = re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<(http[^|>]*)\|([^>]*)>", r"[\2]", text)
    return re.sub(r"<!(\w+)>", r"@\1", text).replace("*", "")


def _texts(block: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Give the texts of a block, and whether Slack reads marks in them."""
    for each in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
        if each:
            yield each["text"], each["type"] == "mrkdwn"


def draw(path: Path) -> None:
    """Draw the examples as Slack shows them."""
    body = "".join(f"<h2>{title}</h2>{_draw_message(message)}" for title, message in build_examples().items())
    _take_picture(f"<meta charset=utf-8><style>{_STYLE}</style>{body}", path, "720,3330")


def draw_page(path: Path) -> None:
    """Draw the page of incidents of a home where some of them were reported."""
    reports: list[tuple[float, Report]] = [
        (-90_000, replace(BREACH, key="upload_missing/2026-11-19", kind="upload_missing",
                          summary="The upload of session 2026-11-19 has not come", parts=(), links=Links())),
        (-84_000, Recovery("upload_missing/2026-11-19", "The run of session 2026-11-19 succeeded.")),
        (-40_000, PROMOTED),
        (-7_200, BREACH),
        (0, FAILED),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="closecast-examples-") as folder:
        settings = Settings(home=Path(folder), docs_url=DOCS, _env_file=None)
        with open_store(settings) as connection:
            for seconds, each in reports:
                record(connection, settings, each, AT + seconds)
            set_mute(connection, Mute("coverage_breach", AT + 86_400, "ada", "the new exchange"))
        _take_picture(draw_incidents(settings, AT + 400), path, "1200,820")


def _take_picture(page: str, path: Path, size: str) -> None:
    from PIL import Image

    program = find_chromium()
    assert program, "Chromium is needed: apt install chromium"
    with tempfile.TemporaryDirectory(prefix="closecast-examples-") as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}"]
        options += [f"--window-size={size}", f"--screenshot={path.absolute()}"]
        subprocess.run([program, *options, file.as_uri()], check=True, capture_output=True)
    taken = Image.open(path).convert("RGB")
    taken.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


def _draw_message(message: Message) -> str:
    drawn = "".join(f"<div class={block['type']}>{_draw_block(block)}</div>" for block in message.blocks)
    return f"<div class=message><img><b>closecast</b> <span class=app>APP</span>{drawn}</div>"


def _draw_block(block: dict[str, Any]) -> str:
    drawn = [_draw_marks(text) if has_marks else html.escape(text) for text, has_marks in _texts(block)]
    return "".join(f"<p>{each.replace(chr(10), '<br>')}</p>" for each in drawn)


def _draw_marks(text: str) -> str:
    text = re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", text)
    parts = re.split(r"(<[^>]*>)", text)
    return "".join(_draw_token(part) if part.startswith("<") else _embolden(part) for part in parts)


def _draw_token(token: str) -> str:
    url, _, name = token.strip("<>").partition("|")
    if url.startswith("!"):
        return f"<span class=mention>@{html.escape(url[1:])}</span>"
    return f"<a href='#'>{html.escape(name)}</a>"


def _embolden(text: str) -> str:
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", text)


_STYLE = """
body { font: 15px/1.45 Lato, 'Noto Sans', 'DejaVu Sans', sans-serif; color: #1d1c1d; margin: 16px 24px; }
h2 { font-size: 13px; color: #616061; border-top: 1px solid #ddd; padding-top: 10px; margin: 14px 0 8px; }
.message { padding-left: 46px; position: relative; }
.message img { position: absolute; left: 0; top: 3px; width: 36px; height: 36px; background: #123; border-radius: 4px; }
.app { background: #ddd; color: #616061; font-size: 10px; padding: 1px 3px; border-radius: 2px; }
p { margin: 2px 0; } .header p { font-weight: 900; font-size: 18px; }
.section { margin: 4px 0; display: grid; grid-template-columns: 1fr 1fr; } .section p:only-child { grid-column: 1 / 3; }
.context p { color: #616061; font-size: 13px; } a { color: #1264a3; text-decoration: none; }
.mention { background: #fff3d6; color: #1264a3; padding: 0 2px; }
"""


def main() -> None:
    """Print the examples, or draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, help="a PNG to write")
    parser.add_argument("--page", type=Path, help="a PNG to write")
    asked = parser.parse_args()
    if asked.picture:
        draw(asked.picture)
    if asked.page:
        draw_page(asked.page)
    if not (asked.picture or asked.page):
        print(write_text())


if __name__ == "__main__":
    main()
