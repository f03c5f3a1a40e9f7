"""What a message about an episode says: which signals, since when, how far, and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from slack_sdk.models.blocks import Block, HeaderBlock, MarkdownTextObject, SectionBlock

from include.alerts.messages import Message, escape_text
from include.monitoring.breaches import JUDGED_SESSIONS, Breach

TO_DO = "`closecast report` draws the session; docs/monitoring.md says what each signal means and what to do."


def build_breach_message(session: date, began: Sequence[Breach], ended: Sequence[Breach]) -> Message:
    """Build one message of all episodes that began or ended with a session; at least one did."""
    counts = [f"{len(each)} {word}" for each, word in ((began, "began"), (ended, "ended")) if each]
    title = f"Forecasts, session {session}: {' and '.join(counts)}"
    lines = [describe_began(each) for each in began] + [describe_ended(each) for each in ended]
    blocks: list[Block] = [
        HeaderBlock(text=title[:150]),
        SectionBlock(text=MarkdownTextObject(text="\n".join(f"• {escape_text(line)}" for line in lines)[:2900])),
        SectionBlock(text=MarkdownTextObject(text=TO_DO)),
    ]
    return Message(f"{title}. {escape_text('; '.join(lines))}", [block.to_dict() for block in blocks])


def describe_began(breach: Breach) -> str:
    """Say how an episode began, in a line."""
    cause = f" ({breach.cause})" if breach.cause else ""
    return (
        f"{breach.signal} in breach since {breach.since}, version {breach.model_version}:"
        f" {breach.value:.3f}, limit {breach.limit:.3f}, by the newest {JUDGED_SESSIONS} sessions{cause}"
    )


def describe_ended(breach: Breach) -> str:
    """Say how an episode ended, in a line."""
    return f"{breach.signal}, in breach since {breach.since}, is over: {breach.why_ended}"
