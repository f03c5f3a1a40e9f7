"""The message that a move in the registry could not be followed."""

from __future__ import annotations

from slack_sdk.models.blocks import Block, HeaderBlock, MarkdownTextObject, SectionBlock

from include.alerts.messages import MOST_CAUSE_CHARACTERS, Message, escape_text
from include.registry.reconcile import Outcome

TO_DO = "Put one whole version into Production, or run `closecast models promote`: see docs/runbooks/rollback.md."


def build_fault_message(outcome: Outcome) -> Message:
    """Say what is wrong, which version serves, and what to do."""
    serving = outcome.serving
    title = f"{serving.name}: the last good version serves, {serving.version} ({serving.kind})"
    fault = escape_text(outcome.fault[:MOST_CAUSE_CHARACTERS])
    blocks: list[Block] = [
        HeaderBlock(text=title[:150]),
        SectionBlock(text=MarkdownTextObject(text=f"*Fault*\n{fault}")),
        SectionBlock(text=MarkdownTextObject(text=TO_DO)),
    ]
    return Message(f"{escape_text(title)}: {fault}", [block.to_dict() for block in blocks])
