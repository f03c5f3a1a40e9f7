"""One attempt at telling Slack, and what became of it. When to try again is not decided here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.client import WebClient
from slack_sdk.webhook import WebhookClient

from include.alerts.messages import Message
from include.alerts.targets import Target
from include.alerts.text import flatten

# slack_sdk logs a webhook's whole address at each retry; a logger without a level counts as DEBUG for it.
_unheard = logging.getLogger(f"{__name__}.client")
_unheard.setLevel(logging.CRITICAL)

_BAD_MESSAGE = (
    "invalid_payload", "invalid_blocks", "invalid_blocks_format", "msg_too_long", "no_text", "invalid_attachments",
    "too_many_attachments", "metadata_too_large", "invalid_metadata_format",
)  # fmt: skip
"""Answers that speak of the message; other refusals speak of the webhook, the token or the channel."""

_TOO_FAST = ("ratelimited", "rate_limited", "message_limit_exceeded")
_BROKEN = ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error")
_LOST = ("message_not_found", "cant_update_message", "edit_window_closed")
"""Answers that say that a message can be edited no longer."""


_UNREAD = "no answer that can be read"


class Outcome(StrEnum):
    """What became of an attempt."""

    SENT = "sent"
    LATER = "later"  # too fast, broken, silent or gone: the next attempt may do it
    MISCONFIGURED = "misconfigured"  # only a person can mend it
    REFUSED = "refused"  # this message is wrong, the next one may pass
    LOST = "lost"  # the message that was to be edited is no longer there


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt: `said` is Slack's word, without secrets; `wait_s` what it asks to wait."""

    outcome: Outcome
    said: str = ""
    wait_s: float | None = None
    channel: str | None = None
    ts: str | None = None


def post_message(
    target: Target, message: Message, *, timeout_s: float, incident: str, thread: str | None = None
) -> Attempt:
    """Send a message; below another one, and to the channel as well, where `thread` names one."""
    if target.webhook:
        return _post_webhook(target.webhook, message, timeout_s)
    extra: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": True} if thread else {}
    metadata = {"event_type": "closecast_incident", "event_payload": {"incident": incident}}
    return _call(target, "chat.postMessage", timeout_s, message, metadata=metadata, unfurl_links=False, **extra)


def edit_message(target: Target, message: Message, *, timeout_s: float, channel: str, ts: str) -> Attempt:
    """Put a message in the place of one that a bot has sent."""
    return _call(target, "chat.update", timeout_s, message, channel=channel, ts=ts)


def check_target(target: Target, *, timeout_s: float) -> Attempt:
    """Ask Slack whether it knows us, without a message: a webhook refuses an empty one by a word of its own."""
    if target.webhook:
        asked = _post_webhook(target.webhook, None, timeout_s)
        return Attempt(Outcome.SENT, asked.said) if asked.outcome is Outcome.REFUSED else asked
    known = _call(target, "auth.test", timeout_s, None)
    if known.outcome is not Outcome.SENT or not target.channel:
        fault = Attempt(Outcome.MISCONFIGURED, "no channel is set: CLOSECAST_SLACK_CHANNEL")
        return known if known.outcome is not Outcome.SENT else fault
    seen = _call(target, "conversations.info", timeout_s, None, channel=target.channel)
    may_not_look = seen.said.endswith("missing_scope")  # a bot that may write need not read
    return Attempt(Outcome.SENT, seen.said) if may_not_look else seen


def _post_webhook(url: str, message: Message | None, timeout_s: float) -> Attempt:
    text, blocks = (message.text, message.blocks) if message else ("", [])
    client = WebhookClient(url, timeout=timeout_s, retry_handlers=[], logger=_unheard)  # type: ignore[arg-type]
    try:
        answer = client.send_dict({"text": text, "blocks": blocks, "unfurl_links": False})
    except Exception as error:  # noqa: BLE001  # whatever answers there, the other messages must go
        return _explain_error(error)
    said = answer.body or ""
    is_sent = answer.status_code == 200 and said.strip() == "ok"  # a page that asks to log in answers 200 too
    return _judge(answer.status_code, said, answer.headers, is_sent=is_sent)


def _call(target: Target, method: str, timeout_s: float, message: Message | None, **arguments: Any) -> Attempt:
    client = WebClient(
        target.token, base_url=target.api_url, timeout=timeout_s, retry_handlers=[], logger=_unheard  # type: ignore[arg-type]
    )  # fmt: skip
    if message is not None:
        arguments = {"channel": target.channel, "text": message.text, "blocks": message.blocks} | arguments
    try:
        answer = client.api_call(method, json=arguments)
    except SlackApiError as error:
        data = error.response.data
        said = data.get("error") if isinstance(data, dict) else None
        return _judge(error.response.status_code, str(said or _UNREAD), error.response.headers, is_sent=False)
    except Exception as error:  # noqa: BLE001  # as above
        return _explain_error(error)
    return Attempt(Outcome.SENT, channel=answer.get("channel"), ts=answer.get("ts"))


def _explain_error(error: Exception) -> Attempt:
    """Tell an address that is none from a network that fails; the words of either may hold the address."""
    reason = getattr(error, "reason", None)
    if isinstance(error, UnicodeDecodeError | LookupError | AttributeError | TypeError):
        return Attempt(Outcome.LATER, _UNREAD)
    is_no_address = isinstance(error, ValueError | SlackRequestError) or "unknown url type" in str(reason)
    outcome = Outcome.MISCONFIGURED if is_no_address else Outcome.LATER
    word = reason if isinstance(reason, OSError) else error
    said = "the address is none" if is_no_address else getattr(word, "strerror", None) or type(word).__name__
    return Attempt(outcome, said)


def _judge(status: int, said: str, headers: Mapping[str, Any], *, is_sent: bool) -> Attempt:
    word = flatten(said, 80)
    if is_sent:
        return Attempt(Outcome.SENT, word)
    if status == 429 or word in _TOO_FAST:
        return Attempt(Outcome.LATER, f"{status} {word}", wait_s=_read_wait(headers))
    if status >= 500 or word in _BROKEN:
        return Attempt(Outcome.LATER, f"{status} {word}")
    if word in _LOST:
        return Attempt(Outcome.LOST, word)
    if word in _BAD_MESSAGE:
        return Attempt(Outcome.REFUSED, f"{status} {word}")
    return Attempt(Outcome.MISCONFIGURED, f"{status} {word}")


def _read_wait(headers: Mapping[str, Any]) -> float | None:
    found = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    text = found[0] if isinstance(found, list) else found
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
