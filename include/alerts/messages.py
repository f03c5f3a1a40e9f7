"""What a failure message says: which DAG, task, session and try, what was raised, and where the log is.

Built by slack_sdk's block models, which check the limits that Slack has. Text from data or an exception is
escaped, so that it can neither ping a channel nor make a link, and cut: a reader needs the line and not the trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, HeaderBlock, MarkdownTextObject, SectionBlock

MOST_CAUSE_CHARACTERS = 500


@dataclass(frozen=True)
class TaskFailure:
    """A task that has used its last try."""

    dag_id: str
    task_id: str
    run_id: str
    session: str | None
    try_number: int
    max_tries: int
    cause: str
    log_url: str | None


@dataclass(frozen=True)
class Message:
    """`text` for notifications and logs, `blocks` for the screen."""

    text: str
    blocks: list[dict[str, Any]]


def escape_text(text: str) -> str:
    """Escape the three characters that Slack gives a meaning, as its documentation of text formatting asks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shorten_cause(cause: str) -> str:
    """Keep the end of the last paragraph: an exception's own line comes last in a trace."""
    lines = [line.strip() for line in cause.strip().splitlines() if line.strip()]
    short = lines[-1] if lines else "no message"
    return short if len(short) <= MOST_CAUSE_CHARACTERS else f"{short[:MOST_CAUSE_CHARACTERS]}…"


def build_failure_message(failure: TaskFailure) -> Message:
    """Build the message of a failed task."""
    session = f" for session {failure.session}" if failure.session else ""
    summary = f"{failure.dag_id}.{failure.task_id} failed{session}"
    cause = escape_text(shorten_cause(failure.cause))
    fields = {
        "DAG": failure.dag_id,
        "Task": failure.task_id,
        "Session": failure.session or "none",
        "Try": f"{failure.try_number} of {failure.max_tries}",
        "Run": failure.run_id,
    }
    blocks: list[Block] = [
        HeaderBlock(text=summary[:150]),
        SectionBlock(
            fields=[MarkdownTextObject(text=f"*{key}*\n{escape_text(value)}") for key, value in fields.items()]
        ),
        SectionBlock(text=MarkdownTextObject(text=f"*Cause*\n{cause}")),
    ]
    if failure.log_url:
        button = ButtonElement(text="Open the log", url=failure.log_url, action_id="open_log")
        blocks.append(ActionsBlock(elements=[button]))
    return Message(f"{escape_text(summary)}: {cause}", [block.to_dict() for block in blocks])
