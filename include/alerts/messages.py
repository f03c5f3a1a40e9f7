"""What a message says, for a notification line, a phone and a screen; built by slack_sdk's models, which check it.

Text that came from elsewhere is plain text to Slack, and escaped in the notification line, so that a symbol named
`<!channel>` pings nobody and nothing that looks like an address becomes a link. Links are text and not buttons: Slack
wants somebody to listen to a button.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from include.alerts.episodes import RECOVERED, Episode
from include.alerts.incidents import Severity
from include.alerts.kinds import recall_kind
from include.alerts.links import link_runbook, name_links
from include.alerts.outbox import Row, What
from include.alerts.text import escape_text, flatten, shorten_cause

MOST_HEADER_CHARACTERS = 150
MOST_SHOWN_PARTS = 6
MOST_TEXT_CHARACTERS = 3000
MOST_LINK_CHARACTERS = 590
"""Five of them fit into a text; half a link leads nowhere."""

DIGEST_LINES = 30

SIGNS = {Severity.CRITICAL: "🔴", Severity.ERROR: "🟠", Severity.WARNING: "🟡", Severity.INFO: "🔵"}
HEALED = "✅"

_WORDS = {
    What.OPENED: "",
    What.MORE: "More of it: ",
    What.AGAIN: "Still so: ",
    What.RECOVERED: "Recovered: ",
    What.NOTICE: "",
}


@dataclass(frozen=True)
class Message:
    """`text` for notifications and logs, `blocks` for the screen."""

    text: str
    blocks: list[dict[str, Any]]


def build_message(row: Row, *, mention: str = "", docs_url: str | None = None) -> Message:
    """Build the message of one row of the outbox.

    Parameters
    ----------
    row
        With its incident as it stands.
    mention
        Who is called: here, channel, or the id of a user or a group. Nobody where something is over.
    docs_url
        Where docs/ is served.
    """
    episode = row.episode
    call = _write_mention(mention) if row.what in (What.OPENED, What.MORE, What.AGAIN) else ""
    blocks: list[Block] = [HeaderBlock(text=PlainTextObject(text=_write_header(row), emoji=False))]
    if call:
        blocks.append(SectionBlock(text=MarkdownTextObject(text=call)))
    if row.what is What.RECOVERED:
        blocks.append(_plain_section(describe_recovery(episode)))
    elif cause := episode.cause or recall_kind(episode.kind).unsaid:
        blocks.append(_plain_section(shorten_cause(cause)))
    blocks += [*_affected_blocks(episode), *_parts_blocks(episode), *_link_blocks(row, docs_url), _foot(episode)]
    return Message(f"{call} {escape_text(describe_row(row))}".strip(), [block.to_dict() for block in blocks])


def build_digest(rows: Sequence[Row], *, mention: str = "", more: int = 0) -> Message:
    """Build one message of many rows that have waited, oldest first; `more` is how many it cannot show."""
    first, last = (_write_moment(rows[at].created_at) for at in (0, -1))
    call = _write_mention(mention)
    title = f"{len(rows) + more} messages from {first} to {last}"
    lines = [f"{_write_clock(row.created_at)}  {describe_row(row)}" for row in rows]
    if more:
        lines.append(f"and {more} more: closecast alerts list")
    text = MarkdownTextObject(text=call) if call else None
    blocks: list[Block] = [HeaderBlock(text=PlainTextObject(text=title, emoji=False))]
    blocks += [SectionBlock(text=text)] if text else []
    blocks += [_plain_section(each) for each in _gather(lines)]
    return Message(
        f"{call} {title}: {escape_text(describe_row(rows[0]))}".strip(), [block.to_dict() for block in blocks]
    )


def describe_row(row: Row) -> str:
    """Say a row in one line, with its incident's id; it is not escaped."""
    episode = row.episode
    said = f"{_sign(row)} {_WORDS[row.what]}{flatten(episode.summary, 200)}"
    if row.what is What.RECOVERED:
        said += f", after {write_duration((episode.recovered_at or episode.last_at) - episode.opened_at)}"
    elif episode.cause:
        said += f": {flatten(shorten_cause(episode.cause), 200)}"
    return f"{said} [{episode.id}]"


def describe_recovery(episode: Episode) -> str:
    """Say how long it took, how often it was reported, and what the one who saw the end says."""
    lasted = (episode.recovered_at or episode.last_at) - episode.opened_at
    times = f" It was reported {episode.count} times." if episode.count > 1 else ""
    note = f" {flatten(episode.note, 300)}" if episode.note else ""
    return f"It took {write_duration(lasted)}.{times}{note}"


def write_duration(seconds: float) -> str:
    """Write a duration in its two largest units.

    Examples
    --------
    >>> write_duration(3_720)
    '1 h 2 min'
    >>> write_duration(9.4)
    '9 s'
    """
    whole = round(seconds)
    for size, unit, below, unit_below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {unit_below}" if rest else "")
    return f"{max(whole, 0)} s"


def _sign(row: Row) -> str:
    return HEALED if row.what is What.RECOVERED else SIGNS[row.episode.severity]


def _write_header(row: Row) -> str:
    return flatten(f"{_sign(row)} {_WORDS[row.what]}{row.episode.summary}", MOST_HEADER_CHARACTERS)


def _affected_blocks(episode: Episode) -> list[Block]:
    affected, is_over = episode.affected, episode.status == RECOVERED
    fields = {}
    if affected.session:
        fields["Session"] = affected.session.isoformat()
    if affected.symbols is not None:
        fields["Symbols"] = f"{affected.symbols:,}"
    if affected.published is not None and not is_over:
        fields["Forecasts"] = "published" if affected.published else "not published"
    if affected.mend_by is not None and not is_over:
        fields["Mend by"] = _write_date(affected.mend_by)
    if not fields:
        return []
    return [SectionBlock(fields=[_verbatim(f"*{name}*\n{value}") for name, value in fields.items()])]


def _parts_blocks(episode: Episode) -> list[Block]:
    if not episode.parts:
        return []
    shown = [f"• {flatten(each, 100)}" for each in episode.parts[:MOST_SHOWN_PARTS]]
    if len(episode.parts) > MOST_SHOWN_PARTS:
        shown.append(f"… and {len(episode.parts) - MOST_SHOWN_PARTS} more")
    return [_plain_section(f"{recall_kind(episode.kind).parts} ({len(episode.parts)}):\n" + "\n".join(shown))]


def _link_blocks(row: Row, docs_url: str | None) -> list[Block]:
    kind = recall_kind(row.episode.kind)
    said = [_write_link(url, name) for name, url in name_links(row.episode.links).items()]
    if kind.heals and row.what is not What.RECOVERED:
        page = link_runbook(kind, docs_url)
        said.append(_write_link(page, "What to do") if page else f"What to do: {kind.runbook}")
    line = " · ".join(link for link in said if len(link) <= MOST_LINK_CHARACTERS)
    return [SectionBlock(text=MarkdownTextObject(text=line))] if line else []


def _foot(episode: Episode) -> Block:
    times = f" · reported {episode.count} times" if episode.count > 1 else ""
    title = recall_kind(episode.kind).title
    said = f"{title} · {episode.severity} · {_write_moment(episode.opened_at)}{times} · {episode.id}"
    return ContextBlock(elements=[PlainTextObject(text=said, emoji=False)])


def _plain_section(text: str) -> SectionBlock:
    return SectionBlock(text=PlainTextObject(text=text[:MOST_TEXT_CHARACTERS], emoji=False))


def _verbatim(text: str) -> MarkdownTextObject:
    return MarkdownTextObject(text=text, verbatim=True)


def _gather(lines: Sequence[str]) -> list[str]:
    """Join lines into as few texts as keep to Slack's limit."""
    texts = [""]
    for line in lines:
        if len(texts[-1]) + len(line) + 1 > MOST_TEXT_CHARACTERS:
            texts.append("")
        texts[-1] = f"{texts[-1]}\n{line}".strip("\n")
    return texts


def _write_mention(mention: str) -> str:
    if not mention:
        return ""
    if mention in ("here", "channel", "everyone"):
        return f"<!{mention}>"
    return f"<!subteam^{mention}>" if mention.startswith("S") else f"<@{mention}>"


def _write_link(url: str, name: str) -> str:
    return f"<{quote(url, safe=':/?#[]@!$&()*+,;=%~').replace('&', '&amp;')}|{name}>"


def _write_date(moment: datetime) -> str:
    """Write a moment that Slack shows in each reader's own zone."""
    plain = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|{plain}>"


def _write_moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _write_clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")
